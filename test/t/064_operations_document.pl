# What docs/operations.md has in SQL, run as it stands there, in its order: whoever is on
# call at night must be able to copy it.

use strict;
use warnings;

use File::Basename;
use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $document = slurp_file(dirname(__FILE__) . '/../../docs/operations.md');
my $redis = Inval::Redis->new;
my $node = new_node('document', url => $redis->unix_url);
my $other = $redis->unix_url;

$other =~ s/db=\d+/db=1/ or $other .= '?db=1';
ok(poll_until(sub { $redis->cmd('FCALL', 'inval_version', 0) }, 'the library'),
	'Redis has the functions for readers');
$node->safe_psql('postgres', q{
	CREATE TABLE external_data_source (id int PRIMARY KEY, team_id int, status text);
	INSERT INTO external_data_source SELECT i, i, 'on' FROM generate_series(1, 100) i;
	SELECT inval_track('external_data_source', 'team_id');
	SELECT inval_track('external_data_source', key => 'strict:{id}', delivery => 'strict', fence => true);
	UPDATE external_data_source SET status = 'off' WHERE id < 10});

# Each block with the heading that it is under
my @blocks;
my $heading = '';
while ($document =~ /^(?:#+ ([^\n]*)\n|```sql\n(.*?)^```)/gms)
{
	if (defined $1) { $heading = $1; next }
	push @blocks, [ $heading, $2 ];
}
cmp_ok(scalar(@blocks), '>', 25, 'there are blocks');

my $part = 0;
foreach my $block (@blocks)
{
	my ($name, $sql) = @$block;

	$part++;
	$sql =~ s{redis://127\.0\.0\.1:6379/1}{$other};
	$name = "$part, $name";

	my ($status, $output, $error) = $node->psql('postgres', $sql);
	is($status, 0, $name) or diag("$sql\n$error");
	is($output, '', "$name: nothing is left") if $sql =~ /pg_event_trigger/;
	like($output, qr/^0\|0\|0\|0\|0$/m, "$name: all is well") if $sql =~ /AS broken_or_paused/;
}

# What is referred to is there.
my %anchors = map { $_ => 1 } $document =~ /<a name="([^"]+)">/g;
foreach my $title ($document =~ /^#+ ([^\n]*)$/mg)
{
	my $anchor = lc $title;
	$anchor =~ s/[^a-z0-9 _-]//g;
	$anchor =~ s/ /-/g;
	$anchors{$anchor} = 1;
}
is(join(' ', grep { !$anchors{$_} } $document =~ /\]\(#([^)]+)\)/g), '', 'all links within it lead somewhere');
ok($anchors{"alert-$_"}, "there is a section for alert $_")
  foreach qw(InvalOldestEntry InvalTargetDown InvalQueueGrowing InvalWorkerMissing InvalCoverageHole
  InvalRuleBroken InvalFreshnessDrift);

# And in Redis
is(scalar(@{ $redis->cmd('KEYS', '*:inval-*') }), 0, 'no marker is left in Redis');
done_testing();
