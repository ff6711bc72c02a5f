# What docs/monitoring.md wires: the exporter and Prometheus scrape a server, every panel of
# the dashboard has something to show, and every alert fires when there is a reason to.
#
# INVAL_PICTURE        draws the dashboard into this file instead (test/picture)
# INVAL_PICTURE_UNIT   seconds that a sixth of it stands for

use strict;
use warnings;

use Cwd ();
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

use Inval::Monitoring;
use Inval::Monitoring::Picture;
use Inval::Test;

my @missing = Inval::Monitoring->missing;

plan skip_all => "no @missing" if @missing;
if ($ENV{INVAL_PICTURE})
{
	draw_picture($ENV{INVAL_PICTURE}, $ENV{INVAL_PICTURE_UNIT} || 20);
	done_testing();
	exit;
}

# ---------------------------------------------------------------------------
# The files
# ---------------------------------------------------------------------------

foreach my $command ([ 'check', 'rules', Inval::Monitoring::file('alerts.yaml') ],
	[ 'test', 'rules', Inval::Monitoring::file('alerts_test.yaml') ])
{
	my $output = '';

	ok(IPC::Run::run([ 'promtool', @$command ], '<', \undef, '>&', \$output),
		"promtool @$command[0, 1]") or diag($output);
}

# What the document has for Prometheus, with the file where it is here
my ($wired) = slurp_file(Inval::Monitoring::file('../docs/monitoring.md')) =~ /^```yaml\n(.*?)^```/ms;
my $wired_file = PostgreSQL::Test::Utils::tempdir() . '/prometheus.yml';
my $wired_output = '';
$wired =~ s{/etc/prometheus/inval/alerts\.yaml}{Cwd::abs_path(Inval::Monitoring::file('alerts.yaml'))}e;
PostgreSQL::Test::Utils::append_to_file($wired_file, $wired);
ok(IPC::Run::run([ 'promtool', 'check', 'config', $wired_file ], '<', \undef, '>&', \$wired_output),
	'the document wires Prometheus') or diag($wired_output);

my $alerts = slurp_file(Inval::Monitoring::file('alerts.yaml'));
my @alerts = $alerts =~ /^ *- alert: (\w+)$/mg;
my $operations = slurp_file(Inval::Monitoring::file('../docs/operations.md'));

is_deeply([ $alerts =~ /^ *runbook_url: (\S+)$/mg ],
	[ map { "docs/operations.md#alert-\L$_" } @alerts ], 'each alert has a runbook');
SKIP:
{
	# What a heading, or a tag, can be linked by
	my %anchors = map { lc s/[^\w -]//gr =~ tr/ /-/r => 1 }
	  $operations =~ /^#+ (.*)$/mg, $operations =~ /<a (?:id|name)="([^"]*)"/g;

	skip 'docs/operations.md has no runbooks', 1 unless $operations =~ /$alerts[0]/;
	is(join(' ', grep { !$anchors{"alert-\L$_"} } @alerts), '', 'which is there');
}

# ---------------------------------------------------------------------------
# A server with a few rules, of which it is known what happens
# ---------------------------------------------------------------------------

my $redis = Inval::Redis->new;
my $node = new_node('monitoring', url => $redis->unix_url,
	conf => "inval.sweep_interval = '50ms'\ninval.retry_max = '200ms'\n");

$node->safe_psql('postgres', q{
	CREATE ROLE keeper;
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE view_of_page (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE parent (id int PRIMARY KEY, team_id int);
	CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent);
	CREATE TABLE "odd ""name"" \ of a
table" (id int);
	INSERT INTO team SELECT generate_series(1, 5000);
	INSERT INTO view_of_page SELECT generate_series(1, 5000);
	INSERT INTO parent VALUES (1, 1);
	GRANT SELECT, REFERENCES ON parent TO keeper;
	ALTER TABLE child OWNER TO keeper;
	SELECT inval_track('team', 'id', audit => 'SELECT t.n::text FROM team t WHERE t.id = {id}');
	SELECT inval_track('view_of_page', 'id', delivery => 'background');
	SELECT inval_track('child', key => 'child:{parent_id.team_id}');
	SELECT inval_track('"odd ""name"" \ of a
table"', key => 'odd:{id}');
	INSERT INTO "odd ""name"" \ of a
table" VALUES (1)});
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION inval');
my $monitoring = Inval::Monitoring->new($node);

sub work
{
	$node->safe_psql('postgres', q{
		UPDATE team SET n = n + 1 WHERE id <= 20;
		UPDATE view_of_page SET n = n + 1 WHERE id <= 200;
		SELECT count(*) FROM inval_rule r, inval_audit(r.id, 10) WHERE r.audit IS NOT NULL});
	return;
}

# ---------------------------------------------------------------------------
# The dashboard
# ---------------------------------------------------------------------------

my $dashboard = JSON::PP::decode_json(slurp_file(Inval::Monitoring::file('dashboard.json')));
my @expressions = map {
	my $title = $_->{title};
	map { [ "$title, $_->{legendFormat}", $_->{expr} ] } @{ $_->{targets} }
} @{ $dashboard->{panels} };

foreach (@expressions)
{
	my ($name, $expression) = @$_;

	$expression =~ s/\$(datname|target)\b/.*/g;
	$expression =~ s/\$slo\b/1.048576/g;
	$expression =~ s/\$__rate_interval\b/5s/g;
	unlike($expression, qr/\$/, "$name: no other variables");
	ok(poll_until(
			sub {
				return 1 if grep { $_->{value} ne 'NaN' } $monitoring->query($expression);
				work();
				return 0;
			},
			$expression), "$name: has data");
}
my @places = map {
	my $place = $_->{gridPos};
	map {
		my $y = $_;
		map { "$_ $y" } $place->{x} .. $place->{x} + $place->{w} - 1
	} $place->{y} .. $place->{y} + $place->{h} - 1
} @{ $dashboard->{panels} };
my (%places, %ids);

is(scalar(grep { $places{$_}++ } @places), 0, 'no panel covers another');
is(scalar(grep { $ids{ $_->{id} }++ } @{ $dashboard->{panels} }), 0, 'each has its number');
is_deeply([ map { $_->{name} } @{ $dashboard->{templating}{list} } ],
	[qw(datasource datname target slo)], 'variables');

# ---------------------------------------------------------------------------
# The exporter, inval_metrics() and the document say the same
# ---------------------------------------------------------------------------

# Samples of the first database by name and labels; what there is none of, and what only the
# exporter has, left out.
sub samples
{
	my ($text) = @_;
	my %samples;

	foreach my $line (grep { /^inval_/ } split /\n/, $text)
	{
		my ($name, $labels, $value) = $line =~ /^(\w+)\{(.*)\} (\S+)$/ or next;
		my %labels;

		$labels{$1} = $2 while $labels =~ /(\w+)="((?:[^"\\]|\\.)*)"/g;
		delete $labels{server};
		next if $value eq 'NaN' || $labels{datname} ne 'postgres';
		$samples{ join ' ', $name,
			map { "$_=$labels{$_}" } grep { $labels{$_} ne '' } sort keys %labels } = $value + 0;
	}
	return \%samples;
}

ok(wait_queue_empty($node, 'postgres'), 'nothing happens any more');
my $text = $node->safe_psql('postgres', 'SELECT inval_metrics()');
my $samples = samples($text);
my $exported = samples($monitoring->exported);

is_deeply([ sort keys %$exported ], [ sort keys %$samples ],
	'the exporter has what inval_metrics() has');
# What the servers say goes on meanwhile.
my $steady = qr/^(?!inval_target_server).*_(total|bucket) /;

is_deeply([ map { "$_ $exported->{$_}" } grep { $_ =~ $steady } sort keys %$exported ],
	[ map { "$_ $samples->{$_}" } grep { $_ =~ $steady } sort keys %$samples ],
	'with the same values');
cmp_ok(scalar(grep { /of a\\ntable/ } keys %$samples), '>', 10, 'odd names among them');
is(join(' ', sort map { "$_->{datname} $_->{value}" } $monitoring->query('sum by (datname) (inval_target_up)')),
	'postgres 1 second 1', 'the exporter has both databases');
my ($documented) = slurp_file(Inval::Monitoring::file('../docs/monitoring.md')) =~
  /^## Metrics\n(.*?)^## /ms;

is_deeply([ sort $documented =~ /^\| `(inval_\w+)`/mg ],
	[ sort map { s/ counter$/_total/r =~ s/ .*//r } $text =~ /^# TYPE (\w+ \w+)$/mg ],
	'the document lists them');

# A strict parser
my $python = Inval::Monitoring::file('../clients/python/tests/python');
my ($parsed, $complaint) = ('', '');
my $status = IPC::Run::run([ $python, '-c', q{
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
print(sum(len(family.samples) for family in parse(sys.stdin.read())))} ],
	'<', \"$text\n", '>', \$parsed, '2>', \$complaint);
SKIP:
{
	skip 'no Python with prometheus_client', 1 if !$status && $? >> 8 == 127;
	is($parsed, keys(%$samples) . "\n", 'it is OpenMetrics text') or diag($complaint);
}
ok(poll_until(sub { grep { $_->{value} == 1 } $monitoring->query('up{job="text"}') },
		'text to be scraped'), 'which Prometheus scrapes');
is(($monitoring->query('scrape_samples_scraped{job="text"}'))[0]{value}, keys %$samples,
	'all of it');

# The histogram agrees with the percentiles, which come from narrower buckets.
is($node->safe_psql('postgres', q{
		SELECT s.rule, p.share, p.ms, b.le
		FROM inval_stats s
			CROSS JOIN LATERAL (VALUES (0.5, s.lag_p50_ms), (0.95, s.lag_p95_ms), (0.99, s.lag_p99_ms))
				p (share, ms)
			CROSS JOIN LATERAL (
				SELECT min(l.le) AS le FROM inval_lag_buckets l
				WHERE l.rule = s.rule AND l.target = s.target
					AND l.count >= p.share * (s.delivered_at_commit + s.delivered_by_worker)) b
		WHERE p.ms IS NULL OR p.ms / 1000 NOT BETWEEN b.le / 2 AND b.le}),
	'', 'lags are in their buckets');
is($node->safe_psql('postgres', q{
		SELECT count(*) FILTER (WHERE l.count > 0),
			bool_and(l.count = s.delivered_at_commit + s.delivered_by_worker)
		FROM inval_lag_buckets l JOIN inval_stats s USING (rule, target) WHERE l.le = 'Infinity'}),
	'3|t', 'all of them');

# Who scrapes waits for nobody.
{
	my $session = $node->background_psql('postgres');

	$session->query_safe('BEGIN; LOCK TABLE team, child, parent');
	is($node->safe_psql('postgres', q{
			SELECT inval_guard('warn', 'id');
			SET statement_timeout = '30s';
			SELECT length(inval_metrics()) > 1000;
			SELECT inval_guard('off', 'id')}) =~ s/\n//gr,
		't', 'tables that are locked are no obstacle');
	$session->query_safe('ROLLBACK');
	$session->quit;
}

# ---------------------------------------------------------------------------
# Every alert
# ---------------------------------------------------------------------------

my %seen;

sub fires
{
	my ($name, $why, $meanwhile) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($monitoring->wait_firing($name, $meanwhile), "$name: $why");
	$seen{$name} = 1;
	return;
}

sub all_quiet
{
	my ($why) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(poll_until(sub { !$monitoring->firing }, 'no alert'), "no alert fires: $why")
	  or diag(join ' ', $monitoring->firing);
	return;
}

all_quiet('all is well');

$redis->freeze;
my $rows = 0;
fires('InvalTargetDown', 'Redis does not answer', \&work);
fires('InvalOldestEntry', 'something is owed for long');
fires('InvalQueueGrowing', 'more and more is', sub {
		$rows += 150;
		$node->safe_psql('postgres', "UPDATE team SET n = n + 1 WHERE id BETWEEN $rows - 149 AND $rows")
	});
is(join(' ', grep { /Worker|Hole|Broken/ } $monitoring->firing), '', 'and no other');
$redis->thaw;
all_quiet('Redis answers again');

$node->append_conf('postgresql.conf', "inval.workers = 0\n");
reload($node);
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(worker_pid) FROM inval_target_status');
ok(poll_query($node, 'postgres', 'SELECT worker_pid IS NULL FROM inval_target_status'),
	'the worker leaves');
work();
fires('InvalWorkerMissing', 'there is none');
$node->append_conf('postgresql.conf', "inval.workers = 8\n");
reload($node);
all_quiet('there is a worker');

$node->safe_psql('postgres', 'REVOKE SELECT ON parent FROM keeper');
fires('InvalRuleBroken', 'its owner may not read what it reads');
is(join(' ', map { $_->{relation} } $monitoring->query('ALERTS{alertname="InvalRuleBroken"}')),
	'public.child', 'it names the table');
$node->safe_psql('postgres', 'GRANT SELECT ON parent TO keeper');
all_quiet('the right was given back');

$node->safe_psql('postgres', q{
	UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'team'::regclass AND tgname = '00_inval_row'});
fires('InvalCoverageHole', 'a trigger is disabled');
$node->safe_psql('postgres',
	q{SELECT inval_track('team', 'id', audit => 'SELECT t.n::text FROM team t WHERE t.id = {id}')});
all_quiet('inval_track was called once more');

# Somebody writes past inval.
$redis->cmd('MSET', map { ("team:$_", 999) } 1000 .. 5000);
fires('InvalFreshnessDrift', 'audits find what is old', \&work);
is_deeply([ sort keys %seen ], [ sort @alerts ], 'every alert has been seen');

no_crash($node, 'no crash');
$node->stop;
done_testing();
