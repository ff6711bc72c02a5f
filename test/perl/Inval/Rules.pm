=pod

=head1 NAME

Inval::Rules - a database with a rule of every kind

=head1 DESCRIPTION

For tests that take such a database elsewhere (dump, upgrade, copy) and then ask
whether all of it has arrived and still works.

=cut

package Inval::Rules;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;

use Inval::Test;

our @EXPORT = qw(
  create_rules
  rules_text
  check_works
  check_new_rule
  check_drop_extension
);


=pod

=head2 create_rules($node, $db)

Makes the tables, their rows and their rules.

=cut

sub create_rules
{
	my ($node, $db) = @_;

	$node->safe_psql($db, <<'END');
SET client_min_messages = warning;
CREATE SCHEMA "App ""1""";
CREATE TABLE "App ""1"""."Odd team" (id int PRIMARY KEY, "Ki nd" text DEFAULT 'a', n int DEFAULT 0);
INSERT INTO "App ""1"""."Odd team" SELECT generate_series(1, 100);
SELECT inval_track('"App ""1"""."Odd team"', key => '{@table}:{id}:{"Ki nd"}', changes => '{n,"Ki nd"}');

CREATE TABLE plain (id int PRIMARY KEY, n int DEFAULT 0, tags text[] DEFAULT '{x}');
INSERT INTO plain SELECT generate_series(1, 100);
SELECT inval_track('plain', 'id', delivery => 'background');
SELECT inval_track('plain', key => E'it''s \\ "x" %s {{\u00e9}}\n\t1:{id}');
SELECT inval_track('plain', key => 'h:{id}', field => '{n}');
SELECT inval_track('plain', key => 'tag:{id}:{tags[]}');
SELECT inval_track('plain', key => 'off:{id}', state => 'off');
SELECT inval_track('plain', key => 'shadow:{id}', state => 'shadow');
SELECT inval_set_var('sha', 'one', E'it''s \\ "two",{}\n\u00e9');
SELECT inval_track('plain', key => '{$sha}:{id}');

CREATE TABLE event (id int, day int, n int DEFAULT 0) PARTITION BY RANGE (day);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10);
CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (10) TO (20) PARTITION BY LIST (day);
CREATE TABLE event_2_rest (n int DEFAULT 0, gone int, day int, id int);
ALTER TABLE event_2_rest DROP COLUMN gone;
ALTER TABLE event_2 ATTACH PARTITION event_2_rest DEFAULT;
INSERT INTO event SELECT i, i FROM generate_series(0, 19) i;
SELECT inval_track('event', 'id');
SELECT inval_track('event_2', key => 'second:{id}');

CREATE TABLE parent (id int, n int DEFAULT 0);
CREATE TABLE child (more int) INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2);
SELECT inval_track('parent', 'id');

-- Their names sort the wrong way round.
CREATE TABLE z_team (id int PRIMARY KEY);
CREATE TABLE y_project (id int, region int, team_id int REFERENCES z_team, PRIMARY KEY (region, id));
CREATE TABLE x_task (id int PRIMARY KEY, project_id int, project_region int, n int DEFAULT 0,
	FOREIGN KEY (project_region, project_id) REFERENCES y_project);
CREATE TABLE a_note (id int PRIMARY KEY, task_id int REFERENCES x_task, n int DEFAULT 0);
INSERT INTO z_team VALUES (1), (2);
INSERT INTO y_project VALUES (10, 5, 1), (20, 5, 2);
INSERT INTO x_task VALUES (100, 10, 5), (200, 20, 5);
INSERT INTO a_note VALUES (1000, 100), (2000, 200);
SELECT inval_track('x_task', key => 'team:{project_id.team_id}:tasks');
SELECT inval_track('a_note', key => 'team:{task_id.project_id.team_id}:notes');
SELECT inval_track('y_project', key => 'task:{id}', via => 'SELECT t.id FROM x_task t WHERE t.project_id = {id} AND t.project_region = {region}');

CREATE TABLE big (id int, team int);
INSERT INTO big SELECT i, i % 100 FROM generate_series(1, 2000) i;
SELECT inval_track('big', key => 'big:{team}');

CREATE MATERIALIZED VIEW "App ""1"""."Mat view" AS SELECT id, n AS "N n" FROM public.plain;
SELECT inval_track('"App ""1"""."Mat view"', key => E'it''s \\ {@table}:{id}:{"N n"}');

CREATE TABLE guarded (id int, guard_me int);
SELECT inval_track('guarded', 'guard_me');
SELECT inval_guard('error', 'guard_me');
SELECT inval_guard('warn', 'It''s "it"');
END
	return;
}

=pod

=head2 rules_text($node, $db)

All that must be the same elsewhere: rules, triggers, variables and guards.

=cut

sub rules_text
{
	my ($node, $db) = @_;

	return $node->safe_psql($db, <<'END');
SELECT r FROM inval_rule r ORDER BY id;
SELECT t.tgrelid::regclass, t.tgname, t.tgenabled, t.tgtype,
	(SELECT string_agg(d.deptype::text, '') FROM pg_depend d
	 WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid AND d.refclassid = 'pg_extension'::regclass)
FROM pg_trigger t WHERE t.tgname LIKE '00_inval_%' ORDER BY t.tgrelid::regclass::text, 2;
SELECT v FROM inval_var v ORDER BY name;
SELECT g FROM inval_guards g ORDER BY column_name;
END
}

=pod

=head2 check_works($node, $db, $redis, $name)

Changes something under every rule.  The client of C<$redis> must have selected
the Redis database that C<$db> delivers to.

=cut

sub check_works
{
	my ($node, $db, $redis, $name) = @_;
	my $special = "it's \\ \"x\" %s {\xc3\xa9}\n\t1";
	my $two = "it's \\ \"two\",{}\n\xc3\xa9";
	my @hit = (
		'Odd team:1:a', 'Odd team:1:b', 'Odd team:2:a', 'plain:1', "$special:1", 'h:1', 'tag:1:x', 'tag:1:y',
		'one:1', "$two:1", 'event:3', 'event:13', 'second:13', 'parent:1', 'parent:2',
		'team:1:tasks', 'team:1:notes', 'task:100', 'big:7', "it's \\ Mat view:1:0",
		"it's \\ Mat view:1:1", 'guarded:1');
	my @missed = (
		'plain:2', "$special:2", 'tag:2:x', 'one:2', "$two:2", 'off:1', 'shadow:1',
		'event:4', 'event:14', 'second:3', 'parent:3', 'team:2:tasks', 'team:2:notes', 'task:200',
		'big:8', "it's \\ Mat view:2:0", 'guarded:2');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$redis->pipeline(map { $_ eq 'h:1' ? [ 'HSET', $_, 0, 1 ] : [ 'SET', $_, 1 ] } @hit, @missed);
	$node->safe_psql($db, <<'END');
UPDATE "App ""1"""."Odd team" SET "Ki nd" = 'b' WHERE id = 1;
UPDATE "App ""1"""."Odd team" SET id = 1000 WHERE id = 2;
UPDATE plain SET n = 1, tags = '{x,y}' WHERE id = 1;
UPDATE event SET n = 1 WHERE id = 3;
UPDATE event_2_rest SET n = 1 WHERE id = 13;
UPDATE parent SET n = 1;
UPDATE x_task SET n = 1 WHERE id = 100;
UPDATE a_note SET n = 1 WHERE id = 1000;
UPDATE y_project SET team_id = 1 WHERE id = 10;
UPDATE big SET id = id WHERE team = 7;
INSERT INTO guarded VALUES (1, 1);
REFRESH MATERIALIZED VIEW "App ""1"""."Mat view";
END
	ok(wait_keys_gone($redis, @hit), "$name: changes are captured under every rule");
	ok(wait_queue_empty($node, $db), "$name: and delivered");
	is(join(',', $redis->existing(@missed)), join(',', @missed), "$name: no others are");

	$redis->pipeline(map { [ 'SET', $_, 1 ] } 'plain:50', 'event:5', 'event:15', 'second:15');
	$node->safe_psql($db, q{
		SET session_replication_role = replica; TRUNCATE plain, event});
	ok(wait_keys_gone($redis, 'plain:50', 'event:5', 'event:15', 'second:15'),
		"$name: so is TRUNCATE");
	my ($status, $output, $error) =
	  $node->psql($db, 'CREATE TABLE new_guarded (guard_me int)');
	like($error, qr/has column "guard_me" and is not tracked/, "$name: the guard is on duty");
	return;
}

=pod

=head2 check_new_rule($node, $db, $name)

A new rule gets a number that no other has.

=cut

sub check_new_rule
{
	my ($node, $db, $name) = @_;
	my $ids = 'SELECT count(*) - count(DISTINCT id) FROM inval_rule';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->safe_psql($db, q{
		SELECT inval_track('z_team', key => 'new1:{id}');
		SELECT inval_track('"App ""1"""."Mat view"', key => 'new2:{id}')});
	is($node->safe_psql($db, $ids), 0, "$name: new rules get new numbers");
	return;
}

=pod

=head2 check_drop_extension($node, $db, $name)

DROP EXTENSION needs no CASCADE, and leaves nothing.  That it says how many rules
go is left out.

=cut

sub check_drop_extension
{
	my ($node, $db, $name) = @_;
	my ($status, $output, $error) = $node->psql($db,
		'SET client_min_messages = warning; DROP EXTENSION inval');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is("$status$error", '0', "$name: DROP EXTENSION works without CASCADE");
	is( $node->safe_psql($db, q{
			SELECT tgname::text FROM pg_trigger WHERE tgname LIKE '00_inval_%'
			UNION ALL SELECT srvname FROM pg_foreign_server WHERE srvname LIKE 'inval_%'
			UNION ALL SELECT evtname FROM pg_event_trigger
			UNION ALL SELECT relname FROM pg_class WHERE relname LIKE 'inval_%'}),
		'', "$name: and leaves nothing");
	return;
}

1;
