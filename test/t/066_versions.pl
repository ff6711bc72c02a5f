# What a user meets who upgrades: the objects of each version that can be installed, with
# this library, then updated to the newest, with data in the outbox; and an older library
# that finds what a later one has written.
#
# There may be no update yet.  So that what checks them is known to work, and a later
# version finds a way that was tried, one is made here: inval--<now>--<next>.sql begins as
# CONTRIBUTING.md says and adds something.

use strict;
use warnings;

use File::Basename;
use Inval::Catalog;
use Inval::Installation;
use Inval::Rules;
use Inval::Test;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $root = dirname(__FILE__) . '/../..';
my $installation = Inval::Installation->new;
my $control = $installation->script('inval.control');
my ($now) = $control =~ /^default_version = '(\d+\.\d+)'$/m;
my ($release) = $control =~ /^# inval (\d+\.\d+\.\d+)/m;
my $next = $now =~ s/(\d+)$/$1 + 1/er;

# How a script that updates begins: it asks for the library that it was made for.
my ($begin) = slurp_file("$root/CONTRIBUTING.md") =~ /^```text\n(LOAD 'MODULE_PATHNAME';\n.*?)^```/ms;
my $asks = qr/'\{(\d+), *(\d+), *(\d+)\}'/;
my $more = q{
CREATE FUNCTION inval_next() RETURNS integer AS 'SELECT 1' LANGUAGE SQL;
REVOKE ALL ON FUNCTION inval_next() FROM PUBLIC;
};
my $comment = "COMMENT ON FUNCTION inval_next() IS 'Next';\n";

check_meta(JSON::PP::decode_json(slurp_file("$root/META.json")));
like($begin, $asks, 'CONTRIBUTING.md has how a script that updates begins');
foreach my $script (glob "$root/inval--*--*.sql")
{
	like(slurp_file($script), qr/^LOAD 'MODULE_PATHNAME';.*inval\.version.*$asks/ms, basename($script) . ' asks for its library');
}
$installation->write_script("inval--$next.sql", $installation->script("inval--$now.sql") . $more . $comment);
$installation->write_script("inval--$now--$next.sql", begin_with($release) . $more . $comment);
$installation->write_script("inval--$now--forgets.sql", begin_with($release) . $more);
$installation->write_script("inval--$now--late.sql", begin_with('1000.0.0') . $more . $comment);
$installation->write_script('inval.control', $control =~ s/^default_version = .*/default_version = '$next'/mr);

my $redis = Inval::Redis->new;
my $node = new_node('versions', url => $redis->unix_url, install_path => $installation->path, extension => 0,
	conf => "inval.commit_timeout = '60s'\ninval.sweep_interval = '10ms'\n");

is($node->safe_psql('postgres', 'SHOW inval.version'), $release, 'the library says its version');
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION inval');
my $fresh = catalog_text($node, 'fresh');

like($fresh, qr/^extension $next/m, 'the newest version is installed');
unlike($fresh, qr/NO COMMENT/, 'all of its objects have a comment');
try_update($_) foreach grep { $_ ne $next } split /\n/, $node->safe_psql('postgres', q{
	SELECT version FROM pg_available_extension_versions WHERE name = 'inval' AND version ~ '^[0-9.]+$'});
try_wrong_updates();
try_later_rows();
no_crash($node, 'no server process crashed');
done_testing();

# META.json is what PGXN takes: version 1.0.0 of its specification.
sub check_meta
{
	my ($meta) = @_;
	my $version = qr/^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)$/;
	my %known = map { $_ => 1 } qw(name version abstract maintainer license provides meta-spec description
	  generated_by tags no_index prereqs release_status resources);

	is(join(' ', grep { !defined $meta->{$_} } qw(name version abstract maintainer license provides meta-spec)), '',
		'META.json has all that is required');
	is(join(' ', grep { !$known{$_} && !/^x_/i } keys %$meta), '', 'and nothing that there is not');
	like($meta->{version}, $version, 'its version is semantic');
	is($meta->{version}, $release, 'and that of the control file');
	is($meta->{'meta-spec'}{version}, '1.0.0', 'the specification');
	like($meta->{release_status}, qr/^(?:stable|testing|unstable)$/, 'the status');
	is($meta->{license}, 'postgresql', 'the licence');
	is(ref $meta->{tags}, 'ARRAY', 'tags are a list');
	foreach my $name (sort keys %{ $meta->{provides} })
	{
		my $provided = $meta->{provides}{$name};

		ok(-e "$root/$provided->{file}" && -e "$root/$provided->{docfile}", "files of $name are there");
		like($provided->{version}, $version, "$name has a version");
	}
	foreach my $phase (values %{ $meta->{prereqs} })
	{
		like($_, $version, 'versions of prerequisites, too') foreach map { values %$_ } values %$phase;
	}
	return;
}

sub begin_with
{
	my ($version) = @_;
	my $numbers = join ', ', split /\./, $version;

	return $begin =~ s/$asks/'{$numbers}'/gr;
}

sub make_database
{
	my ($db, $version) = @_;

	$redis->cmd('FLUSHALL');
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, "CREATE EXTENSION inval VERSION '$version'");
	create_rules($node, $db);
	return;
}

# The objects of an older version with this library, then brought to the newest.
sub try_update
{
	my ($version) = @_;
	my @owed = map { "plain:$_" } 11 .. 20;
	my $queue = q{SELECT rule, key, action, field, xid, queued_at FROM inval_queue ORDER BY 1, 2, 3, 4};

	make_database('older', $version);
	check_works($node, 'older', $redis, "objects of $version");
	# Which has emptied the table
	$node->safe_psql('older', q{
		INSERT INTO plain SELECT generate_series(11, 20);
		SELECT inval_pause();
		UPDATE plain SET n = 5 WHERE id BETWEEN 11 AND 20});
	my $owed = $node->safe_psql('older', $queue);
	my $rules = rules_text($node, 'older');

	cmp_ok(scalar(() = $owed =~ /^.*\bplain:\d+\|/mg), '>=', scalar(@owed), "$version: something is owed");
	$redis->pipeline(map { [ 'SET', $_, 1 ] } @owed);
	$node->safe_psql('older', 'ALTER EXTENSION inval UPDATE');
	is(catalog_differences(catalog_text($node, 'older'), $fresh), '', "updated from $version: the catalogs are as those of a fresh installation");
	is(rules_text($node, 'older'), $rules, "updated from $version: rules, triggers, variables and guards are the same");
	is($node->safe_psql('older', $queue), $owed, "updated from $version: what was owed is");
	$node->safe_psql('older', 'SELECT inval_resume()');
	ok(wait_keys_gone($redis, @owed), "updated from $version: and is delivered");
	$redis->pipeline(map { [ 'SET', $_, 1 ] } @owed);
	$node->safe_psql('older', 'UPDATE plain SET n = 6 WHERE id BETWEEN 11 AND 20');
	ok(wait_keys_gone($redis, @owed), "updated from $version: changes are captured");
	check_new_rule($node, 'older', "updated from $version");
	check_drop_extension($node, 'older', "updated from $version");
	$node->safe_psql('postgres', 'DROP DATABASE older');
	return;
}

# An update that needs a newer library than the server has loaded, which is what happens
# before the restart, is refused and changes nothing.  One that forgets something is noticed.
sub try_wrong_updates
{
	make_database('older', $now);

	my $before = catalog_text($node, 'older');

	like(error_in('older', "ALTER EXTENSION inval UPDATE TO 'late'"),
		qr/library of inval is version \Q$release\E, and this update needs 1000\.0\.0.*HINT: .*restart/si,
		'an update that needs a newer library is refused');
	is(catalog_text($node, 'older'), $before, 'and changes nothing');
	check_works($node, 'older', $redis, 'after it');
	$node->safe_psql('older', "ALTER EXTENSION inval UPDATE TO 'forgets'");
	like(catalog_differences(catalog_text($node, 'older'), $fresh),
		qr/^\+ function public\.inval_next\(\): NO COMMENT\n.*^- function public\.inval_next\(\): Next$/ms,
		'an update that forgets a comment is noticed');
	return;
}

sub error_in
{
	my ($db, $statement) = @_;
	my ($status, $output, $error) = $node->psql($db, $statement);

	return $error;
}

# What a later version has written, an action that this one does not know, stays and says
# why; what it knows is delivered.  It is written by hand: the outbox's kind is changed for
# a moment so that it can be.
sub try_later_rows
{
	my $tables = q{relname LIKE 'inval\_outbox\__' AND relnamespace = 'public'::regnamespace};
	my $change = join ' ', map {
		qq{UPDATE inval_outbox_$_ SET pack = overlay(pack::text PLACING '7' FROM 4 FOR 1)::inval_pack
		   WHERE position('later:1'::bytea IN pack::text::bytea) > 0;}
	} 0 .. 8;

	$node->safe_psql('older', q{
		CREATE TABLE later (id int PRIMARY KEY, n int);
		INSERT INTO later VALUES (1), (2);
		SELECT inval_track('later', 'id');
		SELECT inval_pause()});
	$redis->pipeline(map { [ 'SET', "later:$_", 1 ] } 1, 2);
	$node->safe_psql('older', "UPDATE later SET n = 1 WHERE id = $_") foreach 1, 2;
	$node->safe_psql('older', qq{
		SET allow_system_table_mods = on;
		UPDATE pg_class SET relkind = 'r', relhasrules = false WHERE $tables;
		$change
		UPDATE pg_class SET relkind = 'm', relhasrules = true WHERE $tables});
	$node->safe_psql('older', 'SELECT inval_resume()');
	ok(wait_keys_gone($redis, 'later:2'), 'an entry that this version knows is delivered');
	ok(poll_query($node, 'older', 'SELECT string_agg(DISTINCT last_error, E\'\n\') FROM inval_queue',
			'cannot be read, may have been written by a later version of inval'),
		'one that it does not know says so');
	is($redis->cmd('EXISTS', 'later:1'), 1, 'and does nothing');
	$node->restart('immediate');
	is($node->safe_psql('older', 'SELECT count(*) FROM inval_queue'), 1, 'it is still there after a crash');
	$node->safe_psql('older', 'UPDATE later SET n = 2 WHERE id = 2');
	ok(poll_query($node, 'older', 'SELECT count(*) = 1 FROM inval_queue'), 'and holds up nobody');
	return;
}
