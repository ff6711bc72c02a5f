
# The function library for readers, called as they call it: leases, stale values,
# early refreshing, fences, dependency sets, and the names of the markers.  Without
# PostgreSQL.

use strict;
use warnings;

use File::Basename qw(dirname);
use Inval::Redis;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = slurp_file(dirname(__FILE__) . '/../../src/redis/inval.lua');
# A cluster of one node, since only such a one tells slots.
my $redis = Inval::Redis->new(config => { 'cluster-enabled' => 'yes' });
my ($lease, $stale, $fence) = map { "k:inval-$_\{k}" } qw(lease stale fence);

$redis->cmd('CLUSTER', 'ADDSLOTSRANGE', 0, 16383);
until ($redis->cmd('CLUSTER', 'INFO') =~ /^cluster_state:ok/m)
{
	select undef, undef, undef, 0.02;
}

# A function's answer, with its parts side by side; of an error the message.
sub call
{
	my ($function, $key, @arguments) = @_;
	my $answer = eval {
		$redis->cmd('FCALL', "inval_$function", 1, $key, @arguments);
	};

	return $@ =~ s/ at \S+ line.*//sr if $@;
	return ref $answer ? join '|', map { defined $_ ? $_ : 'nil' } @$answer : $answer;
}

sub redis { return $redis->cmd(@_); }
sub fresh { return redis('FLUSHALL'); }

# Takes the lease of the key k; returns the token.
sub token
{
	my ($kind, $token) = split /\|/, call('get', 'k', @_);

	return $kind eq 'fill' ? $token : "no lease: $kind";
}

# Waits until a marker, or one of its members, is past its time: Redis tells.
sub wait_until
{
	my ($condition) = @_;

	foreach (1 .. 1000)
	{
		return if $condition->();
		select undef, undef, undef, 0.02;
	}
	die 'gave up waiting';
}

is(redis('FUNCTION', 'LOAD', $source), 'inval', 'the library loads');
is(redis('FCALL', 'inval_version', 0), ($source =~ /^local VERSION = (\d+)$/m)[0],
	'and says its version');

# Fill, hit, single flight.
my $answer = call('get', 'k', 60000);
like($answer, qr/^fill\|[0-9]+-[0-9]+\|nil$/, 'a miss gives a lease, and all parts of the answer');
my $token = (split /\|/, $answer)[1];
is(redis('GET', $lease), $token, 'which lies beside the key');
fresh;
call('get', 'k');
cmp_ok(redis('PTTL', $lease), '<=', 5000, 'it lives for 5 s, unless said otherwise');
cmp_ok(redis('PTTL', $lease), '>', 0, 'and then it goes');
fresh;
$token = token(60000);
is(call('get', 'k'), 'wait|nil', 'a second reader waits');
is(call('set', 'k', 'nonsense', 'v', 60000), 0, 'who has no token stores nothing');
is(call('set', 'k', $token, 'v1', 60000), 1, 'who has it stores');
is(call('set', 'k', $token, 'v2', 60000), 0, 'once');
is(call('get', 'k'), 'hit|v1', 'then there is a hit');
is(redis('GET', 'k'), 'v1', 'also for those who know nothing of all this');
is(redis('DBSIZE'), 1, 'and no marker is left');
cmp_ok(redis('PTTL', 'k'), '<=', 60000, 'the value lives as long as was said');

# The classic race, with and without voiding the lease.
fresh;
$token = token(60000);
redis('UNLINK', 'k');
is(call('set', 'k', $token, 'old', 60000), 1, 'removing the key alone lets the old value in');
fresh;
$token = token(60000);
redis('UNLINK', $lease, 'k');
is(call('set', 'k', $token, 'old', 60000), 0, 'voiding the lease refuses it');
like(call('get', 'k', 60000), qr/^fill/, 'and the next may fill at once');
is(call('set', 'k', $token, 'old', 60000), 0, 'the old token stays void');

# Leases that run out.
fresh;
$token = token(1);
wait_until(sub { !redis('EXISTS', $lease) });
is(call('set', 'k', $token, 'v', 60000), 0, 'a lease that ran out is none');
my $other = token(60000);
isnt($other, $token, 'the next lease has another token');
is(call('set', 'k', $token, 'v', 60000), 0, 'the slow reader stores nothing under it');
is(call('release', 'k', $token), 0, 'and cannot give it up');
is(call('release', 'k', $other), 1, 'its owner can');
like(call('get', 'k'), qr/^fill/, 'then the next fills');

# Stale values: the value itself, in the last part of its life.
fresh;
is(call('set', 'k', token(60000), 'v1', 60000, 90000), 1, 'stored with a time to be stale');
cmp_ok(redis('PTTL', 'k'), '>', 100000, 'which its life has on top');
is(redis('GET', $stale), 90000, 'and which is noted beside it');
is(call('get', 'k'), 'hit|v1', 'first it is fresh');
redis('PEXPIRE', 'k', 80000);
$answer = call('get', 'k', 60000);
like($answer, qr/^fill\|[^|]+\|v1$/, 'then stale: one fills');
is(call('get', 'k'), 'wait|v1', 'the others have the stale value');
is(call('set', 'k', (split /\|/, $answer)[1], 'v2', 60000), 1, 'it is filled');
is(redis('EXISTS', $stale), 0, 'and no longer to be stale');
is(call('get', 'k'), 'hit|v2', 'fresh again');
fresh;
call('set', 'k', token(60000), 'v1', 60000, 90000);
redis('UNLINK', $lease, 'k');
like(call('get', 'k'), qr/^fill\|[^|]+\|nil$/, 'an invalidation leaves nothing stale');
fresh;
call('set', 'k', token(60000), 'v1', 60000, 90000);
redis('PEXPIRE', 'k', 80000);
redis('UNLINK', $stale);
is(call('get', 'k'), 'hit|v1', 'without its marker the value looks fresh until it ends');

# Refreshing early.
fresh;
call('set', 'k', token(60000), 'v1', 60000);
is(call('get', 'k', 60000, 5), 'hit|v1', 'not early yet');
$answer = call('get', 'k', 60000, 90000);
like($answer, qr/^fill\|[^|]+\|v1$/, 'early: one refreshes');
is(call('get', 'k', 60000, 90000), 'hit|v1', 'the others hit');
is(call('set', 'k', (split /\|/, $answer)[1], 'v2', 600000), 1, 'it is refreshed');
is(call('get', 'k', 60000, 90000), 'hit|v2', 'and hit by all');
$answer = call('get', 'k', 60000, -1);
like($answer, qr/^fill\|[^|]+\|v2$/, 'a fresh value can be refreshed on demand');
is(call('get', 'k', 60000, -1), 'hit|v2', 'by one at a time');
redis('UNLINK', $lease, 'k');
is(call('set', 'k', (split /\|/, $answer)[1], 'v3', 60000), 0,
	'which is refused after an invalidation');
redis('SET', 'k', 'v');
is(call('get', 'k', 60000, 99999999), 'hit|v', 'what does not expire is never early');

# Fences.
fresh;
redis('SET', 'k', 'old');
is(redis('FCALL', 'inval_fence', 1, $fence, 'a', 60000), 1, 'a commit fences');
is(call('get', 'k'), 'bypass', 'readers go to the database');
is(redis('GET', 'k'), 'old', 'those who know nothing of it are served');
redis('FCALL', 'inval_fence', 1, $fence, 'b', 60000);
redis('UNLINK', $lease, 'k');
is(redis('ZREM', $fence, 'a'), 1, 'one commit is through');
is(call('get', 'k'), 'bypass', 'the other still fences');
is(redis('ZREM', $fence, 'b'), 1, 'until it ends');
is(redis('DBSIZE'), 0, 'no marker is left');
like(call('get', 'k'), qr/^fill/, 'and the key can be filled');
fresh;
redis('SET', 'k', 'v');
redis('FCALL', 'inval_fence', 1, $fence, 'a', 60000);
redis('ZREM', $fence, 'a');
is(call('get', 'k'), 'hit|v', 'a commit that fails costs no value');
fresh;
$token = token(60000);
redis('FCALL', 'inval_fence', 1, $fence, 'a', 60000);
is(call('set', 'k', $token, 'old', 60000), 1, 'what is filled under a fence is stored');
is(call('get', 'k'), 'bypass', 'but not served');
redis('UNLINK', $lease, 'k');
redis('ZREM', $fence, 'a');
is(redis('EXISTS', 'k'), 0, 'and gone with the release');
fresh;
redis('SET', 'k', 'old');
redis('FCALL', 'inval_fence', 1, $fence, 'live', 60000);
redis('FCALL', 'inval_fence', 1, $fence, 'dead', 1);
wait_until(sub { call('get', 'k'); !redis('EXISTS', 'k') });
is(call('get', 'k'), 'bypass', 'of two owners one lives');
is(redis('ZCARD', $fence), 1, 'the other, which may have committed, has taken the value with it');
fresh;
redis('SET', 'k', 'old');
redis('FCALL', 'inval_fence', 1, $fence, 'dead', 1);
wait_until(sub { call('get', 'k') =~ /^fill/ });
is(redis('EXISTS', 'k'), 0, 'after a dead owner the key can be filled again');
fresh;
redis('FCALL', 'inval_fence', 1, $fence, 'a', 1);
redis('FCALL', 'inval_fence', 1, $fence, 'a', 60000);
is(redis('ZCARD', $fence), 1, 'an owner comes again');
cmp_ok(redis('ZSCORE', $fence, 'a') / 1000, '>', time + 30, 'and is renewed');
my @fences = map { "f$_\{f}" } 1 .. 3;
is(redis('FCALL', 'inval_fence', 3, @fences, 'a', 60000), 3, 'several fences in one call');
redis('DEL', $fences[1]);
is(redis('FCALL', 'inval_fence', 3, @fences, 'a', 60000), 1, 'a renewal tells how many were lost');

# Dependency sets.
fresh;
my @members = ('k', 'ns:{k}', 'other{k}');
$token = token(60000);
redis('SADD', '{k}deps', @members);
redis('SET', $_, 1) foreach @members[ 1, 2 ];
is(call('members', '{k}deps'), 3, 'members and leases go');
is(redis('DBSIZE'), 0, 'all of them');
is(call('set', 'k', $token, 'v', 60000), 0, 'their leases are void');
redis('SADD', '{k}deps', @members);
redis('SET', $_, 1) foreach @members[ 1, 2 ];
call('members', '{k}deps', 'ns:');
is(join(',', $redis->existing('{k}deps', @members)), 'other{k}', 'but nothing outside of the namespace');

# Arguments, and states of the server.
fresh;
redis('HSET', 'h', 'f', 'v');
like(call('get', 'h'), qr/WRONGTYPE/, 'what is no string is an error');
foreach my $wrong (
	[ 'ttl_ms', 'set', 't', 'v', 0 ], [ 'ttl_ms', 'set', 't', 'v', '1e3' ],
	[ 'ttl_ms', 'set', 't', 'v', 'inf' ], [ 'stale_ms', 'set', 't', 'v', 1, -1 ],
	[ 'lease_ms', 'get', 'x' ], [ 'lease_ms', 'get', '9' x 16 ], [ 'early_ms', 'get', 1, -2 ])
{
	my ($what, $function, @arguments) = @$wrong;

	like(call($function, 'k', @arguments), qr/ERR inval: $what must be/, "a wrong $what: $arguments[-1]");
}
like(call('get', 'k', 1, 1, 1), qr/ERR inval: wrong number/, 'too many arguments');
like(call('release', 'k'), qr/ERR inval: wrong number/, 'too few');
redis('SET', 'k', 'v');
redis('CONFIG', 'SET', 'maxmemory', 1);
redis('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
is(call('get', 'k'), 'hit|v', 'a full server has hits');
is(redis('FCALL', 'inval_fence', 1, $fence, 'a', 60000), 1, 'and takes fences');
like(call('set', 'k', 't', 'v', 60000), qr/OOM/, 'but no fill');
is(call('release', 'k', 't'), 0, 'which can be given up');
like(redis('FCALL', 'inval_version', 0), qr/^[1-9]\d*$/, 'and it tells the version');
redis('CONFIG', 'SET', 'maxmemory', 0);

# Every key's markers are in its slot, begin with it and are nobody else's.
fresh;
srand 42;
my %keys = map { $_ => 1 }
  ('a{b}c', '{b}', 'a}b', '{}x', '{', '}', '{}', '}{', 'user:{}', '{}{a}', '{{a}', 'a{{b}}c',
	'a{b', 'x}{y}', "\0", "a\0b", "{\0}", 'a:inval-lease', "\xff\xfe{", '',
	map { join '', map { ('{', '}', 'a', 'b', ':', chr int rand 256)[ rand 6 ] } 0 .. rand 12 } 1 .. 3000);
my @odd = sort keys %keys;
my (%kinds, @wrong);
foreach my $key (@odd)
{
	my ($kind, $given) = split /\|/, call('get', $key);

	push @wrong, $key unless $kind eq 'fill';
	push @wrong, $key unless call('set', $key, $given, 'v', 60000, 60000) eq 1;
	push @wrong, $key unless call('get', $key, 60000, -1) =~ /^fill\|[^|]+\|v$/;
}
is(scalar @wrong, 0, 'awkward keys go through all of it');
is(redis('DBSIZE'), 3 * @odd, 'each with markers of its own');
my %slots;
@slots{@odd} = $redis->pipeline(map { [ 'CLUSTER', 'KEYSLOT', $_ ] } @odd);
my @markers = grep { !exists $keys{$_} } @{ redis('KEYS', '*') };
my @slots = $redis->pipeline(map { [ 'CLUSTER', 'KEYSLOT', $_ ] } @markers);
my $strangers = 0;
foreach my $i (0 .. $#markers)
{
	# The key is before the last word that fits; its tail may hold such a word, too.
	my @candidates = grep { exists $keys{$_} }
	  map { substr $markers[$i], 0, $_ } grep { substr($markers[$i], $_) =~ /^:inval-(lease|stale)/ } 0 .. length $markers[$i];

	$strangers++ unless grep { $slots{$_} == $slots[$i] } @candidates;
}
is($strangers, 0, 'markers are in the slots of their keys, and begin with them');

done_testing();
