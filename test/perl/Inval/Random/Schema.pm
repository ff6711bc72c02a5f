=pod

=head1 NAME

Inval::Random::Schema - random tables and rules for the differential test

=head1 DESCRIPTION

C<random_schema(%has)> makes tables of the schema C<app>, from the features that
C<%has> names (see Inval::Differential), and rules on them.  It returns a hash:

=over

=item C<sql>

a list of SQL commands: tables, first rows, rules, and what the oracle must know

=item C<tables>

what can be referenced: name, columns, foreign keys

=item C<targets>

what statements can be aimed at: tables, single partitions and children, views

=item C<ddl>

groups of statements that attach, detach, drop and create parts of tables

=back

Each table has C<id> (nearly always unique), C<team_id>, C<n> (part of no key), and C<rid>,
which no statement ever updates.

=cut

package Inval::Random::Schema;

use strict;
use warnings;

use Exporter 'import';

use Inval::Oracle;
use Inval::Random;
use Inval::Random::Rules;

our @EXPORT = qw(
  random_schema
  literal
  plain_value
  quoted_name
);

my @words = ('a', 'b', 'B', 'x:y', '{q}', "it''s", 'Ä b', 'long ' x 12, '');
my %type = (
	int => { sql => 'int', value => sub { between(1, 9) } },
	bigint => { sql => 'bigint', value => sub { 10**12 + between(1, 4) } },
	numeric => { sql => 'numeric', value => sub { pick('1.5', '1.50', '-2', '0.1') } },
	text => { sql => 'text', value => sub { pick(@words) } },
	char => { sql => 'char(4)', value => sub { pick('a', 'ab ', 'abcd') } },
	bool => { sql => 'bool', value => sub { pick('true', 'false') } },
	date => { sql => 'date', value => sub { '2026-02-0' . between(1, 5) } },
	timestamptz => {
		sql => 'timestamptz',
		value => sub { '2026-03-01 12:00:0' . between(0, 3) . '.5+0' . between(0, 2) }
	},
	uuid => {
		sql => 'uuid',
		value => sub { 'A0000000-0000-0000-0000-00000000000' . between(0, 3) }
	},
	domain => { sql => 'app.small', value => sub { between(1, 5) } },
	text_domain => { sql => 'app.word', value => sub { pick('one', 'two', 'three') } },
	enum => { sql => 'app.mood', value => sub { pick('sad', 'ok', 'very happy') } },
	ints => { sql => 'int[]', value => sub { array(map { between(1, 6) } 0 .. between(-1, 3)) } },
	texts => { sql => 'text[]', value => sub { array(map { pick(qw(a b c NULL)) } 0 .. between(-1, 3)) } });

sub array
{
	return '{' . join(',', @_) . '}';
}

# A value as COPY has it, and as an expression; undef and NULL now and then.
sub plain_value
{
	my ($column) = @_;

	return undef if $column->{nullable} && chance(0.12);
	return between(1, 45) if $column->{name} eq 'id';
	return between(1, 5) if $column->{name} eq 'part';
	my $value = $type{ $column->{type} }{value}->();
	$value =~ s/''/'/g;
	return $value;
}

sub literal
{
	my ($column) = @_;

	return quote(plain_value($column)) . "::$type{$column->{type}}{sql}";
}

# How the name of a column is written; some need quotes.
sub quoted_name
{
	my ($name) = @_;

	return $name =~ /^[a-z_0-9]+$/ ? $name : "\"$name\"";
}

=pod

=head2 random_schema(%has)

=cut

sub random_schema
{
	my (%has) = @_;
	my $schema = { has => \%has, tables => [], targets => [], ddl => [], sql => [] };
	my $number = between(3, 5);

	push @{ $schema->{sql} },
	  'CREATE DOMAIN app.small AS int CHECK (VALUE < 1000)',
	  'CREATE DOMAIN app.word AS text',
	  "CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'very happy')";
	foreach my $i (1 .. $number)
	{
		add_table($schema, "t$i", $i == $number);
	}
	add_first_rows($schema);
	add_triggers($schema);
	add_views($schema);
	add_row_security($schema) if $has{row_security};
	push @{ $schema->{sql} }, random_rules($schema);
	return $schema;
}

sub add_table
{
	my ($schema, $name, $last) = @_;
	my $has = $schema->{has};
	my @kinds = ('plain') x 2;

	push @kinds, ('partitioned') x 3 if $has->{partitions};
	push @kinds, ('inherited') x 2 if $has->{inheritance};
	my $table = {
		name => $name,
		kind => $last && $has->{via} ? 'plain' : pick(@kinds),
		fks => [],
		leaves => [],
		levels => [] };
	my $composite = $table->{kind} eq 'partitioned'
	  || ($has->{composite_fk} && chance(0.25));

	$table->{key} = $composite ? [ 'id', 'part' ] : ['id'];
	$table->{key} = [] if $table->{kind} ne 'partitioned' && chance(0.15);
	$table->{columns} = [ random_columns($has, $composite) ];
	add_foreign_keys($schema, $table, $last && $has->{via} ? 2 : between(0, 2))
	  if $has->{foreign_keys};
	push @{ $schema->{tables} }, $table;
	create_table($schema, $table);
}

sub random_columns
{
	my ($has, $composite) = @_;
	my @types = qw(int bigint numeric text char bool date timestamptz uuid);
	my @columns = (
		{ name => 'id', type => 'int', extra => 'NOT NULL' },
		{ name => 'rid', type => 'int', nullable => 1, fixed => 1 },
		{ name => 'team_id', type => 'int', nullable => 1 },
		{ name => 'n', type => 'int', extra => 'NOT NULL DEFAULT 0' });
	my $number = 0;

	push @types, 'domain', 'text_domain' if $has->{domains};
	push @types, 'enum' if $has->{enums};
	push @columns, { name => 'part', type => 'int', extra => 'NOT NULL' } if $composite;
	foreach my $type (some(between(1, 3), @types))
	{
		my $name = 'c' . ++$number;

		# A name that only quotes can spell.
		$name = 'C d"' . $number if chance(0.1);
		$name =~ s/"//g;
		push @columns, { name => $name, type => $type, nullable => 1 };
	}
	push @columns, { name => 'tags', type => pick('ints', 'texts'), nullable => 1 }
	  if $has->{arrays} && chance(0.6);
	push @columns,
	  { name => 'doubled', type => 'int', computed => 1, nullable => 1,
		extra => 'GENERATED ALWAYS AS (team_id * 2 + n % 2) STORED' }
	  if $has->{generated} && chance(0.5);
	push @columns,
	  { name => 'serial', type => 'int', computed => 1, identity => 1,
		extra => 'GENERATED ALWAYS AS IDENTITY' }
	  if $has->{identity} && chance(0.4);
	return @columns;
}

# References to tables that are there already, or to itself.
sub add_foreign_keys
{
	my ($schema, $table, $number) = @_;
	my $has = $schema->{has};
	my @parents = grep { @{ $_->{key} } && $_->{kind} ne 'inherited' } @{ $schema->{tables} };

	@parents = grep { @{ $_->{key} } == 1 || $has->{composite_fk} } @parents;
	@parents = some($number, @parents);
	push @parents, $table
	  if $has->{self_references} && $table->{kind} ne 'inherited' && @{ $table->{key} }
	  && (@{ $table->{key} } == 1 || $has->{composite_fk}) && chance(0.3);
	foreach my $parent (@parents)
	{
		my $prefix = $parent == $table ? 'up' : $parent->{name};
		my @columns = map { "${prefix}_$_" } @{ $parent->{key} };
		my $fk = {
			columns => \@columns,
			# The column by which a key names a composite reference.
			named => pick(@columns),
			parent => $parent,
			deferrable => $has->{deferrable} && chance(0.4),
			delete => pick('CASCADE', 'CASCADE', 'SET NULL', 'NO ACTION'),
			update => pick('CASCADE', 'CASCADE', 'NO ACTION') };

		push @{ $table->{fks} }, $fk;
		foreach my $i (0 .. $#columns)
		{
			push @{ $table->{columns} },
			  { name => $columns[$i], type => 'int', nullable => 1,
				fk => $fk, parent_column => $parent->{key}[$i] };
		}
	}
}

sub column_definitions
{
	my ($table, @columns) = @_;

	@columns = @{ $table->{columns} } unless @columns;
	return map {
		join ' ', quoted_name($_->{name}), $type{ $_->{type} }{sql},
		  $_->{extra} || ()
	} @columns;
}

sub create_table
{
	my ($schema, $table) = @_;
	my $name = $table->{name};
	my @lines;
	my $by = '';

	if ($table->{kind} ne 'plain')
	{
		# Neither has identity columns that all of its parts would share.
		$table->{columns} = [ grep { !$_->{identity} } @{ $table->{columns} } ];
	}
	@lines = column_definitions($table);
	push @lines, 'PRIMARY KEY (' . join(', ', @{ $table->{key} }) . ')' if @{ $table->{key} };
	if ($table->{kind} eq 'partitioned')
	{
		$table->{method} = pick('LIST (part)', 'RANGE (part)', 'HASH (id)');
		$by = " PARTITION BY $table->{method}";
	}
	push @{ $schema->{sql} },
	  "CREATE TABLE app.$name (\n  " . join(",\n  ", @lines) . ")$by";
	push @{ $schema->{targets} }, { name => $name, table => $table, insert => 1 };
	create_partitions($schema, $table) if $table->{kind} eq 'partitioned';
	create_children($schema, $table) if $table->{kind} eq 'inherited';
	push @{ $schema->{sql} }, foreign_key_commands($table);
}

sub foreign_key_commands
{
	my ($table) = @_;

	return map {
		"ALTER TABLE app.$table->{name} ADD FOREIGN KEY ("
		  . join(', ', @{ $_->{columns} })
		  . ") REFERENCES app.$_->{parent}{name}"
		  . " ON DELETE $_->{delete} ON UPDATE $_->{update}"
		  . ($_->{deferrable} ? ' DEFERRABLE INITIALLY ' . pick('DEFERRED', 'IMMEDIATE') : '')
	} @{ $table->{fks} };
}

# ---------------------------------------------------------------------------
# Partitions and children
# ---------------------------------------------------------------------------

my %bounds = (
	'LIST (part)' => [ 'FOR VALUES IN (1, 2)', 'FOR VALUES IN (3)', 'DEFAULT' ],
	'RANGE (part)' => [
		'FOR VALUES FROM (MINVALUE) TO (2)', 'FOR VALUES FROM (2) TO (4)',
		'FOR VALUES FROM (4) TO (MAXVALUE)' ],
	'HASH (id)' => [
		'FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
		'FOR VALUES WITH (MODULUS 2, REMAINDER 1)' ],
	'RANGE (id)' => [ 'FOR VALUES FROM (MINVALUE) TO (20)', 'FOR VALUES FROM (20) TO (MAXVALUE)' ]);

sub create_partitions
{
	my ($schema, $table) = @_;
	my $name = $table->{name};
	my @bounds = @{ $bounds{ $table->{method} } };
	my $divided = chance(0.6) ? between(0, $#bounds) : -1;

	$bounds[-1] = 'DEFAULT' if $table->{method} =~ /RANGE/ && chance(0.5);
	foreach my $i (0 .. $#bounds)
	{
		my $part = "${name}_p$i";

		if ($i == $divided)
		{
			my $method = pick('RANGE (id)', 'HASH (id)');
			my $number = 0;

			push @{ $schema->{sql} },
			  "CREATE TABLE app.$part PARTITION OF app.$name $bounds[$i] PARTITION BY $method";
			push @{ $table->{levels} }, $part;
			push @{ $schema->{targets} }, { name => $part, table => $table };
			create_partition($schema, $table, "${part}_" . $number++, $part, $_)
			  foreach @{ $bounds{$method} };
			add_partition_ddl($schema, $part, $name, $bounds[$i])
			  if $schema->{has}{partition_ddl};
		}
		else
		{
			create_partition($schema, $table, $part, $name, $bounds[$i]);
		}
	}
}

sub create_partition
{
	my ($schema, $table, $part, $parent, $bound) = @_;
	my @sql = chance(0.5)
	  ? "CREATE TABLE app.$part PARTITION OF app.$parent $bound"
	  : (disordered_table($table, $part),
		"ALTER TABLE app.$parent ATTACH PARTITION app.$part $bound");

	push @{ $schema->{sql} }, @sql;
	push @{ $table->{leaves} }, $part;
	push @{ $schema->{targets} }, { name => $part, table => $table, insert => chance(0.2) };
	if ($schema->{has}{partition_ddl})
	{
		add_partition_ddl($schema, $part, $parent, $bound);
		push @{ $schema->{ddl} },
		  [ "DROP TABLE app.$part",
			"CREATE TABLE IF NOT EXISTS app.$part PARTITION OF app.$parent $bound",
			'SELECT oracle.watch()' ];
	}
}

sub add_partition_ddl
{
	my ($schema, $part, $parent, $bound) = @_;

	push @{ $schema->{ddl} },
	  [ "ALTER TABLE app.$parent DETACH PARTITION app.$part",
		"ALTER TABLE app.$parent ATTACH PARTITION app.$part $bound" ];
}

# A table like another, with its columns in another order and one that is
# dropped again.
sub disordered_table
{
	my ($table, $name, @more) = @_;
	my @columns = some(99, @{ $table->{columns} });
	my @lines = column_definitions($table, @columns);

	splice @lines, between(0, scalar @lines), 0, 'junk int';
	return ("CREATE TABLE app.$name (\n  " . join(",\n  ", @lines, @more) . ')',
		"ALTER TABLE app.$name DROP COLUMN junk");
}

sub create_children
{
	my ($schema, $table) = @_;
	my $name = $table->{name};

	push @{ $schema->{sql} },
	  "CREATE TABLE app.${name}_c1 (extra int) INHERITS (app.$name)",
	  disordered_table($table, "${name}_c2", 'extra text'),
	  "ALTER TABLE app.${name}_c2 INHERIT app.$name",
	  "CREATE TABLE app.${name}_g (more int) INHERITS (app.${name}_c1)";
	push @{ $table->{levels} }, "${name}_c1";
	push @{ $table->{leaves} }, "${name}_c2", "${name}_g";
	push @{ $schema->{targets} },
	  map { { name => "${name}_$_", table => $table, insert => 1, extra => $_ ne 'c2' } }
	  qw(c1 c2 g);
	push @{ $schema->{ddl} },
	  [ "ALTER TABLE app.${name}_c2 NO INHERIT app.$name",
		"ALTER TABLE app.${name}_c2 INHERIT app.$name" ]
	  if $schema->{has}{inherit_ddl};
}

# ---------------------------------------------------------------------------
# What else there is
# ---------------------------------------------------------------------------

sub add_first_rows
{
	my ($schema) = @_;

	foreach my $table (@{ $schema->{tables} })
	{
		my @columns = grep { !$_->{computed} && !$_->{fk} } @{ $table->{columns} };
		my @rows = map {
			my $id = $_ * 3;
			'(' . join(', ', map { $_->{name} eq 'id' ? $id : literal($_) } @columns) . ')'
		} 1 .. between(6, 12);

		push @{ $schema->{sql} },
		  "INSERT INTO app.$table->{name} ("
		  . join(', ', map { quoted_name($_->{name}) } @columns)
		  . ") VALUES\n  " . join(",\n  ", @rows);
		# References to about half of the rows of the parent, the same row for
		# all columns of a key.
		foreach my $fk (@{ $table->{fks} })
		{
			push @{ $schema->{sql} },
			  "UPDATE app.$table->{name} SET ("
			  . join(', ', @{ $fk->{columns} }) . ') = (SELECT '
			  . join(', ', map { "p.$_" } @{ $fk->{parent}{key} })
			  . " FROM app.$fk->{parent}{name} p WHERE p.id % 6 = app.$table->{name}.id % 6"
			  . ' ORDER BY id LIMIT 1)';
		}
	}
}

sub add_triggers
{
	my ($schema) = @_;
	my $has = $schema->{has};
	my @tables = @{ $schema->{tables} };
	my $always = sub {
		my ($table, $trigger) = @_;

		return chance(0.2)
		  ? "ALTER TABLE app.$table->{name} ENABLE ALWAYS TRIGGER $trigger" : ();
	};

	if ($has->{before_triggers})
	{
		push @{ $schema->{sql} }, <<'SQL';
CREATE FUNCTION app.alter_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.n % 7 = 6 THEN
		RETURN NULL;
	ELSIF NEW.n % 3 = 0 THEN
		NEW.team_id := coalesce(NEW.team_id, 0) % 4 + 1;
	END IF;
	RETURN NEW;
END $$
SQL
		foreach my $table (grep { chance(0.4) } @tables)
		{
			my $trigger = pick('"000"', 'zz');

			push @{ $schema->{sql} },
			  "CREATE TRIGGER $trigger BEFORE INSERT OR UPDATE ON app.$table->{name}"
			  . ' FOR EACH ROW EXECUTE FUNCTION app.alter_row()',
			  $always->($table, $trigger);
		}
	}
	foreach my $i (1 .. ($has->{writing_triggers} ? between(1, 2) : 0))
	{
		my ($from, $to) = (pick(@tables), pick(@tables));
		my $trigger = pick("zz_write$i", "\"0_write$i\"");

		# A row of another table (or of the same), at most one step further.
		push @{ $schema->{sql} }, <<"SQL",
CREATE FUNCTION app.write$i() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
	IF pg_trigger_depth() < 3 THEN
		UPDATE app.$to->{name} SET n = n + 1, team_id = team_id % 5 + 1
			WHERE id % 9 = coalesce(NEW.id, OLD.id) % 9;
		IF coalesce(NEW.id, OLD.id) % 5 = 0 THEN
			DELETE FROM app.$to->{name} WHERE id = OLD.id + 3;
		END IF;
	END IF;
	RETURN coalesce(NEW, OLD);
END \$\$
SQL
		  "CREATE TRIGGER $trigger " . pick('BEFORE', 'AFTER', 'AFTER')
		  . " INSERT OR UPDATE OR DELETE ON app.$from->{name}"
		  . " FOR EACH ROW EXECUTE FUNCTION app.write$i()",
		  $always->($from, $trigger);
	}
	my @plain = grep { $_->{kind} eq 'plain' } @tables;
	if ($has->{deferred_triggers} && @plain && chance(0.6))
	{
		my ($from, $to) = (pick(@plain), pick(@tables));

		# A few times in a transaction, lest two of them go on for ever.
		push @{ $schema->{sql} }, <<"SQL",
CREATE FUNCTION app.late() RETURNS trigger LANGUAGE plpgsql AS \$\$
DECLARE
	times int := coalesce(nullif(current_setting('app.times', true), ''), '0');
BEGIN
	IF times < 3 THEN
		PERFORM set_config('app.times', (times + 1)::text, true);
		UPDATE app.$to->{name} SET team_id = coalesce(team_id, 0) % 6 + 1
			WHERE id % 4 = coalesce(NEW.id, OLD.id) % 4;
	END IF;
	RETURN NULL;
END \$\$
SQL
		  "CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE OR DELETE ON app.$from->{name}"
		  . ' DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.late()';
	}
}

sub add_views
{
	my ($schema) = @_;

	if ($schema->{has}{views})
	{
		foreach my $table (grep { chance(0.4) } @{ $schema->{tables} })
		{
			my $name = $table->{name};

			push @{ $schema->{sql} }, "CREATE VIEW app.${name}_v AS SELECT * FROM app.$name WHERE n >= 0";
			push @{ $schema->{targets} },
			  { name => "${name}_v", table => $table, insert => 1, view => 1 };
			next if chance(0.5);
			push @{ $schema->{sql} },
			  "CREATE VIEW app.${name}_w AS SELECT DISTINCT * FROM app.$name",
			  "CREATE RULE changed AS ON UPDATE TO app.${name}_w DO INSTEAD"
			  . " UPDATE app.$name SET team_id = NEW.team_id, n = NEW.n WHERE id = OLD.id",
			  "CREATE RULE gone AS ON DELETE TO app.${name}_w DO INSTEAD"
			  . " DELETE FROM app.$name WHERE id = OLD.id";
			push @{ $schema->{targets} },
			  { name => "${name}_w", table => $table, view => 1 };
		}
	}
	if ($schema->{has}{matviews})
	{
		my $table = pick(@{ $schema->{tables} });

		push @{ $schema->{sql} },
		  "CREATE MATERIALIZED VIEW app.m AS SELECT team_id, count(*) AS n, min(id) AS id"
		  . " FROM app.$table->{name} WHERE team_id IS NOT NULL GROUP BY team_id",
		  'CREATE UNIQUE INDEX ON app.m (team_id)';
		$schema->{matview} = 'm';
	}
}

sub add_row_security
{
	my ($schema) = @_;

	foreach my $table (grep { chance(0.5) } @{ $schema->{tables} })
	{
		push @{ $schema->{sql} },
		  "ALTER TABLE app.$table->{name} ENABLE ROW LEVEL SECURITY",
		  "CREATE POLICY rows ON app.$table->{name} USING (id % 3 > 0)";
	}
	push @{ $schema->{sql} },
	  'GRANT USAGE ON SCHEMA app, oracle TO differential_user',
	  'GRANT ALL ON ALL TABLES IN SCHEMA app TO differential_user',
	  'GRANT ALL ON ALL SEQUENCES IN SCHEMA app TO differential_user';
}

1;
