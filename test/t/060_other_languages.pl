# What docs/readers.md has for other languages, run as it stands there; of a language that
# is not installed, with its client of Redis, nothing is.

use strict;
use warnings;

use File::Basename;
use Inval::Test;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $document = slurp_file(dirname(__FILE__) . '/../../docs/readers.md');
my %languages = (
	ruby => {
		is_there => [ 'ruby', '-rredis', '-e', '' ],
		begin => qq{require 'redis'\nrequire 'json'\n},
		connect => q{redis = Redis.new(path: ENV['REDIS_SOCKET'])},
		show => 'puts JSON.dump(%s)',
		fail => q{begin; get_or_set(redis, 'article:42') { raise 'broken' }; rescue RuntimeError; end} },
	php => {
		is_there => [ 'php', '-r', 'new Redis();' ],
		begin => "<?php\n",
		connect => q{$redis = new Redis(); $redis->connect(getenv('REDIS_SOCKET'));},
		show => 'echo json_encode(%s), "\n";',
		fail => q{try { get_or_set($redis, 'article:42', function () { throw new Exception('broken'); }); } catch (Exception $e) {}} });
my %is_there = map { $_ => (run_here($languages{$_}{is_there}))[0] } keys %languages;

plan skip_all => 'there is neither Ruby nor PHP with a client for Redis'
  unless grep { $_ } values %is_there;

my $redis = Inval::Redis->new;
my $node = new_node('languages', url => $redis->unix_url, conf => "inval.commit_timeout = '60s'\n");

$ENV{REDIS_SOCKET} = $redis->sock;
$node->safe_psql('postgres', q{
	CREATE TABLE article (id int PRIMARY KEY, v int NOT NULL);
	INSERT INTO article VALUES (42, 1);
	SELECT inval_track('article', 'id', fence => true)});
ok(poll_until(sub { $redis->cmd('FCALL', 'inval_version', 0) }, 'the library'),
	'Redis has the functions for readers');
try_language($_) foreach sort keys %languages;
done_testing();

# Status and output
sub run_here
{
	my ($command) = @_;
	my $output = '';
	my $passed = eval { IPC::Run::run($command, '<', '/dev/null', '>&', \$output) };

	return ($passed, $output);
}

sub run_text
{
	my ($name, @lines) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir . "/snippet.$name";

	PostgreSQL::Test::Utils::append_to_file($file, join "\n", @lines, '');
	return run_here([ $name, $file ]);
}

sub try_language
{
	my ($name) = @_;
	my $language = $languages{$name};
	my @blocks = $document =~ /^```$name\n(.*?)^```/msg;
	my ($defines, $call) = map { s/^<\?php\n//r } @blocks;
	my $show = sprintf $language->{show}, $call =~ s/;?\s*\z//r;
	my $article = qr/^\{"id":42,"title":"On caches"\}$/m;
	my ($passed, $output);

	is(scalar @blocks, 2, "$name: there are two snippets");
  SKIP:
	{
		skip "$name, or its client for Redis, is not installed", 6 unless $is_there{$name};
		$redis->cmd('FLUSHDB');
		($passed, $output) = run_text($name, $language->{begin}, $defines, $language->{connect}, $show);
		ok($passed, "$name: runs") or diag($output);
		like($output, $article, "$name: a miss is loaded");
		like($redis->cmd('GET', 'article:42'), $article, "$name: and stored");
		$redis->cmd('SET', 'article:42', '{"is":"there"}');
		($passed, $output) = run_text($name, $language->{begin}, $defines, $language->{connect}, $show);
		like($output, qr/^\{"is":"there"\}$/m, "$name: a hit is not");
		$node->safe_psql('postgres', 'UPDATE article SET v = v + 1');
		($passed, $output) = run_text($name, $language->{begin}, $defines, $language->{connect}, $language->{fail}, $show);
		like($output, $article, "$name: a load that failed has given its lease up");
		$redis->cmd('UNLINK', 'article:42');
		$redis->cmd('FUNCTION', 'FLUSH');
		($passed, $output) = run_text($name, $language->{begin}, $defines, $language->{connect}, $show);
		like($output, $article, "$name: without the functions it loads");
		$redis->cmd('FUNCTION', 'LOAD', 'REPLACE', slurp_file('src/redis/inval.lua'));
	}
	return;
}
