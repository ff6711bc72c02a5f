# Databases in other encodings than UTF-8: keys are UTF-8 all the same, because
# that is what client libraries write; views show them as text of the database.
# SQL_ASCII has no encoding: its bytes are the keys.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('encodings', url => $redis->unix_url, extension => 0);
my %database = (latin => 'LATIN1', cyrillic => 'WIN1251', ascii => 'SQL_ASCII', utf => 'UTF8');

# What a session says, with the client's encoding set to the database's own
sub sql
{
	my ($name, $statement) = @_;

	return $node->safe_psql($name, $statement);
}

sub make_database
{
	my ($name, $more) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $name ENCODING '$database{$name}'"
		  . " LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0 " . ($more || ''));
	sql($name, 'CREATE EXTENSION inval');
	sql($name, q{CREATE TABLE page (id int PRIMARY KEY, name text, names text[])});
	return;
}

# Sets a key, runs a statement, and says whether the key has gone.
sub removes
{
	my ($name, $key, $statement) = @_;

	$redis->cmd('SET', $key, 'cached');
	sql($name, $statement);
	return $redis->cmd('EXISTS', $key) == 0;
}

sub error_from
{
	my ($name, $statement) = @_;
	my ($status, $output, $error) = $node->psql($name, $statement);

	return $status == 0 ? 'no error' : $error;
}

make_database($_) foreach 'latin', 'cyrillic', 'ascii';
# One encoding for all that is read here
$ENV{PGCLIENTENCODING} = 'SQL_ASCII';

#
# LATIN1
#
sql('latin', qq{SELECT inval_set_var('v', E'\\xfc')});
sql('latin', qq{SELECT inval_track('page', key => '$_')})
  foreach 'page:{name}', '{name|md5}', '{name|url}', '{name|sha256:16}', 'upper:{name|upper}',
  'cut:{name|lower:4}', 'each:{names[]}', 'var:{$v}:{id}', "table:{\@table}:{id}";
sql('latin', qq{SELECT inval_track('page', key => E'lit\\xe9ral:{id}', field => E'\\xe0:{name}')});
$redis->cmd('HSET', "lit\xc3\xa9ral:1", "\xc3\xa0:caf\xc3\xa9", '1', 'other', '2');
ok(removes('latin', "page:caf\xc3\xa9",
		"INSERT INTO page VALUES (1, E'caf\\xe9', E'{\\xe9,\\xff}')"),
	'LATIN1: the key is UTF-8');
is_deeply($redis->cmd('HKEYS', "lit\xc3\xa9ral:1"), ['other'],
	'LATIN1: literal text and fields are');
ok(removes('latin', 'caf%C3%A9', 'UPDATE page SET id = 1'), 'LATIN1: filter url sees UTF-8');
ok(removes('latin', '07117fe4a1ebd544965dc19573183da2', 'UPDATE page SET id = 1'),
	'LATIN1: filter md5 does');
ok(removes('latin', '850f7dc43910ff89', 'UPDATE page SET id = 1'),
	'LATIN1: filter sha256 does');
ok(removes('latin', "cut:caf\xc3\xa9", "UPDATE page SET name = E'caf\\xe9s'"),
	'LATIN1: lengths are in characters');
ok(removes('latin', "each:\xc3\xbf", 'UPDATE page SET id = 1'), 'LATIN1: elements are UTF-8');
ok(removes('latin', "var:\xc3\xbc:1", 'UPDATE page SET id = 1'), 'LATIN1: variables are UTF-8');
ok(removes('latin', "by:hand:\xc3\xa9", "SELECT inval_touch(E'by:hand:\\xe9')"),
	'LATIN1: inval_touch writes UTF-8');
$redis->cmd('HSET', "by:hand:\xc3\xa9", "\xc3\xa9", '1', 'other', '2');
sql('latin', "SELECT inval_touch(E'by:hand:\\xe9', field => E'\\xe9')");
is_deeply($redis->cmd('HKEYS', "by:hand:\xc3\xa9"), ['other'], 'LATIN1: so are its fields');
sql('latin', sprintf q{SELECT inval_add_target('far', '%s', region => E'Orl\\xe9ans')}, $redis->unix_url);
sql('latin', q{CREATE TABLE told (id int); SELECT inval_track('told', key => 'told:{id}', action => 'none',
	stream => 'tell', targets => '{far}'); INSERT INTO told VALUES (1)});
ok(wait_queue_empty($node, 'latin'), 'LATIN1: a stream is told');
my %entry = @{ ($redis->cmd('XRANGE', 'tell', '-', '+') || [ [ 0, [] ] ])->[0][1] };
is($entry{region}, "Orl\xc3\xa9ans", 'LATIN1: where from is UTF-8');
sql('latin', q{DROP TABLE told; SELECT inval_drop_target('far')});

# What is shown is text of the database.
is(sql('latin', q{SELECT key FROM inval_preview('page') WHERE key LIKE 'page:%'}),
	"page:caf\xe9s", 'LATIN1: inval_preview shows text');
is(sql('latin', q{SELECT key || ' ' || field FROM inval_preview('page') WHERE key LIKE 'lit%'}),
	"lit\xe9ral:1 \xe0:caf\xe9s", 'LATIN1: with fields');
sql('latin', 'SELECT inval_pause()');
sql('latin', qq{UPDATE page SET id = 1; SELECT inval_touch(E'hand:\\xe9', field => E'\\xe0')});
is(sql('latin', q{SELECT key FROM inval_queue WHERE key LIKE 'page:%'}), "page:caf\xe9s",
	'LATIN1: inval_queue shows text');
is(sql('latin', q{SELECT key || ' ' || field FROM inval_queue WHERE key LIKE 'hand:%'}),
	"hand:\xe9 \xe0", 'LATIN1: with fields');
sql('latin', 'SELECT inval_resume(), inval_drain()');
ok(wait_queue_empty($node, 'latin'), 'LATIN1: all is delivered');

# Lengths count as they are sent.
like(error_from('latin', q{SELECT inval_touch(repeat(E'\xe9', 3751))}),
	qr/key is too long.*7502 bytes/s, 'LATIN1: the limit is in bytes of UTF-8');

# A namespace is a prefix of keys, so it is UTF-8, too.
my $other = Inval::Redis->new;
sql('latin', qq{SELECT inval_add_target('fr', '} . $other->unix_url . qq{', namespace => E'\\xe9:')});
sql('latin', qq{CREATE TABLE french (id int);
	SELECT inval_track('french', key => E'\\xe9:{id}', targets => '{fr}')});
$other->cmd('SET', "\xc3\xa9:1", 'cached');
sql('latin', 'INSERT INTO french VALUES (1)');
is($other->cmd('EXISTS', "\xc3\xa9:1"), 0, 'LATIN1: a namespace is UTF-8');
is(sql('latin', q{SELECT namespace FROM inval_target_status WHERE target = 'fr'}), "\xe9:",
	'LATIN1: and shown as text');
like(error_from('latin', q{SELECT inval_touch(E'\xe8:1', target => 'fr')}),
	qr/outside the namespace.*must start with "\xe9:"/s, 'LATIN1: what is outside is refused');
like(error_from('latin', q{SELECT inval_track('french', key => E'\xe8:{id}', targets => '{fr}')}),
	qr/outside the namespace.*must start with "\xe9:"/s, 'LATIN1: at tracking time, too');
my ($status, $output, $error) = $node->psql('latin',
	q{SELECT inval_track('french', key => '{id}:x', targets => '{fr}'); INSERT INTO french VALUES (2)});
like($error, qr/skips keys outside the namespace/, 'LATIN1: and skipped in rows');

# Upper and lower case are those of the database.
SKIP:
{
	($status, $output, $error) = $node->psql('postgres',
		"CREATE DATABASE icu ENCODING 'LATIN1' LOCALE_PROVIDER icu ICU_LOCALE 'fr'"
		  . " LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
	skip 'this server has no ICU', 1 if $status != 0;
	sql('icu', q{CREATE EXTENSION inval;
		CREATE TABLE page (name text);
		SELECT inval_track('page', key => 'upper:{name|upper:4}')});
	ok(removes('icu', "upper:CAF\xc3\x89", "INSERT INTO page VALUES (E'caf\\xe9s')"),
		'LATIN1: filter upper is that of the database');
}

#
# WIN1251, which has a byte that is no character
#
sql('cyrillic', q{SELECT inval_track('page', key => 'page:{name}');
	SELECT inval_track('page', key => 'each:{names[]}')});
ok(removes('cyrillic', "page:\xd0\xb6", "INSERT INTO page VALUES (1, E'\\xe6')"), 'WIN1251: UTF-8');
$redis->cmd('SET', 'each:a', 'cached');
($status, $output, $error) = $node->psql('cyrillic',
	q{INSERT INTO page SELECT n, E'x\x98', E'{a,\x98}' FROM generate_series(2, 4) n});
is($status, 0, 'WIN1251: what cannot be UTF-8 does not stop the write');
is(scalar(() = $error =~ /WARNING/g), 2, 'WIN1251: it is said once for each rule');
like($error, qr/rule \d+ skips keys with text that cannot be converted from WIN1251 to UTF-8: 3/,
	'WIN1251: with the number');
is($redis->cmd('EXISTS', 'each:a'), 0, 'WIN1251: other elements are keys');
is(sql('cyrillic', q{SELECT skipped FROM inval_stats s JOIN inval_rule r ON r.id = s.rule WHERE key = 'page:{name}'}),
	3, 'WIN1251: it is counted');
like(error_from('cyrillic', $_), qr/cannot be converted/, "WIN1251: refused: $_")
  foreach q{SELECT inval_track('page', key => E'\x98:{id}')},
  q{SELECT inval_set_var('v', E'\x98')}, q{SELECT inval_touch(E'\x98')},
  q{SELECT inval_touch('x', field => E'\x98')},
  q{SELECT inval_add_target('x', 'redis://127.0.0.1:1', namespace => E'\x98')};

#
# SQL_ASCII
#
sql('ascii', q{SELECT inval_track('page', key => 'page:{name}');
	SELECT inval_track('page', key => '{name|url}');
	SELECT inval_track('page', key => E'cut\xff:{name|upper:4}')});
ok(removes('ascii', "page:caf\xe9", "INSERT INTO page VALUES (1, E'caf\\xe9')"),
	'SQL_ASCII: the bytes are the key');
ok(removes('ascii', "page:caf\xc3\xa9", "INSERT INTO page VALUES (2, E'caf\\xc3\\xa9')"),
	'SQL_ASCII: whatever they are');
ok(removes('ascii', 'caf%E9', 'UPDATE page SET id = 1 WHERE id = 1'), 'SQL_ASCII: filters see bytes');
ok(removes('ascii', "cut\xff:CAF\xc3", 'UPDATE page SET id = 2 WHERE id = 2'),
	'SQL_ASCII: a character is a byte');
is(sql('ascii', q{SELECT string_agg(key, ',' ORDER BY key) FROM inval_preview('page') WHERE key LIKE 'page:%'}),
	"page:caf\xc3\xa9,page:caf\xe9", 'SQL_ASCII: shown as they are');

no_crash($node, 'no server process crashed');
$node->stop;
done_testing();
