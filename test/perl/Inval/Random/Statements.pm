=pod

=head1 NAME

Inval::Random::Statements - random transactions for the differential test

=head1 DESCRIPTION

C<random_transaction($schema, $number, $count)> gives psql's text of one transaction on
a random schema.  C<$count-E<gt>($kind)> is called for each statement in it.

The generator does not know what the tables hold: ids are small numbers, conditions
match some rows, and a statement may well fail.  Where it would matter which row is
meant, it is the first in the order of a hash, so that a seed repeats everything.

=cut

package Inval::Random::Statements;

use strict;
use warnings;

use Exporter 'import';

use Inval::Oracle;
use Inval::Random;
use Inval::Random::Schema;

our @EXPORT = qw(random_transaction);

# The kinds of statements: how often, and what makes them.  Those with psql's own
# commands, or that cannot run in a function, are no part of a DO block.
my %kind = (
	insert => { weight => 8, make => \&insert, block => 1 },
	on_conflict => { weight => 5, make => \&insert_on_conflict, block => 1 },
	update => { weight => 12, make => \&update, block => 1 },
	update_from => { weight => 3, make => \&update_from, block => 1 },
	delete => { weight => 4, make => \&delete_rows, block => 1 },
	delete_using => { weight => 2, make => \&delete_using, block => 1 },
	merge => { weight => 4, make => \&merge, block => 1 },
	writable_cte => { weight => 4, make => \&writable_cte, block => 1 },
	copy => { weight => 3, make => \&copy },
	truncate => { weight => 1, make => \&truncate_tables, block => 1 },
	select => { weight => 2, make => \&select_rows },
	cursor => { weight => 1, make => \&cursor },
	prepared_statement => { weight => 1, make => \&prepared_statement },
	do_block => { weight => 4, make => \&do_block },
	failure => { weight => 1, make => \&failure },
	replica_role => { weight => 1, make => \&replica_role },
	disable_triggers => { weight => 1, make => \&disable_triggers },
	set_constraints => { weight => 1, make => \&set_constraints },
	settings => { weight => 1, make => \&settings },
	row_security => { weight => 1, make => \&change_role },
	partition_ddl => { weight => 2, make => \&partition_ddl },
	rewrite => { weight => 1, make => \&rewrite },
	matviews => { weight => 2, make => \&refresh });
my $depth = 0;

sub random_transaction
{
	my ($schema, $number, $count) = @_;
	my $has = $schema->{has};
	my %weight = map { $_ => $kind{$_}{weight} } grep { $has->{$_} } keys %kind;
	my @text;

	delete $weight{partition_ddl} unless @{ $schema->{ddl} };
	my $statement = sub {
		my $name = pick_weighted(@_ ? @_ : %weight);

		$count->($name);
		return $kind{$name}{make}->($schema, $number);
	};
	push @text, '\set ON_ERROR_ROLLBACK ' . (chance(0.7) ? 'on' : 'off'), '\set commit_failed false';
	if (chance(0.15))
	{
		# One statement alone, without BEGIN.
		push @text, $statement->(block_kinds($schema)), '\set failed :ERROR';
		return join("\n", @text) . "\n";
	}
	push @text, 'BEGIN;';
	my @open;
	foreach (1 .. pick(1, 2, 3, 5, 8, 14))
	{
		push @text, $has->{savepoints} && chance(0.25) ? savepoint($count, \@open) : $statement->();
	}
	# A failed transaction still says so here.
	push @text, 'SELECT 1 AS alive \gset', '\set failed :ERROR', ending($schema, $number, $count);
	return join("\n", @text) . "\n";
}

sub ending
{
	my ($schema, $number, $count) = @_;

	if ($schema->{has}{rollback} && chance(0.12))
	{
		$count->('rollback');
		return ('ROLLBACK;', '\set failed true');
	}
	if ($schema->{has}{prepared} && chance(0.1))
	{
		my $commits = chance(0.7);

		$count->('prepared');
		return ("PREPARE TRANSACTION 'differential $number';", '\set commit_failed :ERROR',
			($commits ? 'COMMIT' : 'ROLLBACK') . " PREPARED 'differential $number';",
			$commits ? () : '\set failed true');
	}
	return ('COMMIT;', '\set commit_failed :ERROR');
}

# Names repeat and mean the innermost; now and then it is one that is not there.
sub savepoint
{
	my ($count, $open) = @_;
	my $what = @$open ? pick_weighted(SAVEPOINT => 5, 'ROLLBACK TO' => 3, RELEASE => 2) : 'SAVEPOINT';
	my $name = pick($what eq 'SAVEPOINT' || chance(0.05) ? qw(a b c) : @$open);
	my ($place) = grep { $open->[$_] eq $name } reverse 0 .. $#$open;

	if ($what eq 'SAVEPOINT')
	{
		push @$open, $name;
	}
	elsif (defined $place)
	{
		splice @$open, $place + ($what eq 'ROLLBACK TO');
	}
	$count->(lc $what);
	return "$what $name;";
}

# ---------------------------------------------------------------------------
# Pieces
# ---------------------------------------------------------------------------

sub target
{
	my ($schema, $inserts) = @_;

	return pick(grep { !$inserts || $_->{insert} } @{ $schema->{targets} });
}

sub condition
{
	my ($table, $alias) = @_;
	my $id = "$alias.id";

	return pick(
		"$id = " . between(1, 40), "$id = " . between(1, 40),
		"$id % 5 = " . between(0, 4),
		"$id BETWEEN " . between(1, 20) . ' AND ' . between(15, 30),
		"$alias.team_id = " . between(1, 6),
		"$alias.team_id IS NULL",
		"$id IN (SELECT id FROM app.$table->{name} ORDER BY md5(id::text || '"
		  . between(1, 99) . "') LIMIT 2)",
		'true');
}

# An expression for a new value; a foreign key nearly always finds its parent.
sub new_value
{
	my ($column, $salt) = @_;

	return literal($column) if !$column->{fk} || chance(0.05);
	return 'NULL' if chance(0.1);
	return "(SELECT $column->{parent_column} FROM app.$column->{fk}{parent}{name}"
	  . " ORDER BY md5(id::text || '$salt') LIMIT 1)";
}

sub writable
{
	my ($table) = @_;

	return grep { !$_->{computed} } @{ $table->{columns} };
}

sub updatable
{
	my ($target) = @_;

	return grep { !$_->{fixed} && ($_->{name} ne 'id' || chance(0.1)) }
	  writable($target->{table});
}

# What UPDATE sets.  Columns of one foreign key are set together.
sub assignments
{
	my ($target, $alias, %not) = @_;
	my $salt = between(1, 999);
	my @columns = some(between(1, 3), grep { !$not{ $_->{name} } } updatable($target));
	my (@set, %done);

	foreach my $column (@columns)
	{
		my $name = $column->{name};

		next if $done{$name}++;
		if ($column->{fk} && !chance(0.1))
		{
			foreach my $other (grep { ($_->{fk} || 0) == $column->{fk} } writable($target->{table}))
			{
				$done{ $other->{name} }++;
				push @set, "$other->{name} = " . new_value($other, $salt);
			}
		}
		elsif (chance(0.15))
		{
			# Nothing changes, and yet it is an UPDATE.
			push @set, quoted_name($name) . " = $alias." . quoted_name($name);
		}
		elsif ($column->{type} eq 'int' && chance(0.5))
		{
			push @set, quoted_name($name) . ' = '
			  . ($name eq 'id' ? "1 + ($alias.id + 7) % 45" : "$alias." . quoted_name($name) . ' % 5 + 1');
		}
		else
		{
			push @set, quoted_name($name) . ' = ' . new_value($column, $salt);
		}
	}
	push @set, "n = $alias.n + 1" if !@set || (chance(0.3) && !$done{n} && !$not{n});
	my %seen;
	return join ', ', grep { /^("[^"]+"|\S+)/ && !$seen{$1}++ } @set;
}

sub column_list
{
	return '(' . join(', ', map { quoted_name($_->{name}) } @_) . ')';
}

# A few rows for INSERT.
sub values_list
{
	my ($number, @columns) = @_;

	return join ",\n  ", map {
		my $salt = between(1, 999);
		'(' . join(', ', map { new_value($_, $salt) } @columns) . ')'
	} 1 .. $number;
}

sub insert_into
{
	my ($target) = @_;
	my @columns = grep { $_->{name} =~ /^(id|part)$/ || chance(0.85) } writable($target->{table});

	return ("INSERT INTO app.$target->{name} ", @columns);
}

# ---------------------------------------------------------------------------
# Statements that change rows
# ---------------------------------------------------------------------------

sub insert
{
	my ($schema) = @_;
	my $target = target($schema, 1);
	my ($into, @columns) = insert_into($target);
	my $name = $target->{table}{name};

	return "$into" . column_list(@columns) . " VALUES\n  " . values_list(between(1, 3), @columns)
	  . conflict_nothing($target) . ';'
	  if chance(0.6);

	# As copies of rows, with ids that are free.
	my @others = grep { $_->{name} ne 'id' } @columns;
	return $into . column_list({ name => 'id' }, @others)
	  . ' SELECT ' . join(', ', "(SELECT max(id) FROM app.$name) + row_number() OVER (ORDER BY t.id)",
		map { 't.' . quoted_name($_->{name}) } @others)
	  . " FROM app.$name t WHERE " . condition($target->{table}, 't') . ' ORDER BY t.id LIMIT 3;'
}

sub conflict_nothing
{
	my ($target) = @_;

	return $target->{view} || chance(0.3) ? '' : ' ON CONFLICT DO NOTHING';
}

sub insert_on_conflict
{
	my ($schema) = @_;
	my $target = pick(grep { $_->{insert} && !$_->{view} && !exists $_->{extra}
			&& @{ $_->{table}{key} } } @{ $schema->{targets} });

	return insert($schema) unless $target;
	my $table = $target->{table};
	my ($into, @columns) = insert_into($target);
	my %key = map { $_ => 1 } @{ $table->{key} }, 'id', 'part';
	my $name = $target->{name};

	return "$into AS t " . column_list(@columns) . ' VALUES ' . values_list(between(1, 3), @columns)
	  . ' ON CONFLICT (' . join(', ', @{ $table->{key} }) . ') DO UPDATE SET '
	  . pick(assignments($target, 't', %key), 'team_id = excluded.team_id, n = excluded.n')
	  . (chance(0.3) ? ' WHERE t.n % 2 = 0' : '') . ';';
}

sub only
{
	my ($target) = @_;

	return $target->{view} || chance(0.9) ? '' : 'ONLY ';
}

sub update
{
	my ($schema) = @_;
	my $target = target($schema);

	return 'UPDATE ' . only($target) . "app.$target->{name} AS t SET " . assignments($target, 't')
	  . ' WHERE ' . condition($target->{table}, 't') . ';';
}

sub update_from
{
	my ($schema) = @_;
	my $target = target($schema);
	my $table = $target->{table};
	my $other = pick(@{ $schema->{tables} });
	my ($fk) = @{ $table->{fks} };
	my $join = 't.id = o.id';

	($other, $join) = ($fk->{parent}, "t.$fk->{columns}[0] = o.id") if $fk && chance(0.6);
	return "UPDATE app.$target->{name} AS t SET team_id = o.team_id, n = o.n"
	  . " FROM app.$other->{name} o WHERE $join AND " . condition($other, 'o') . ';';
}

sub delete_rows
{
	my ($schema) = @_;
	my $target = target($schema);
	my $condition = condition($target->{table}, 't');

	# All rows would leave little to change for those that follow.
	$condition = 't.id % 3 = 1' if $condition eq 'true';
	return 'DELETE FROM ' . only($target) . "app.$target->{name} AS t WHERE $condition;";
}

sub delete_using
{
	my ($schema) = @_;
	my $target = target($schema);
	my $other = pick(@{ $schema->{tables} });

	return "DELETE FROM app.$target->{name} AS t USING app.$other->{name} o"
	  . " WHERE t.id = o.id AND o.id % 4 = " . between(0, 3) . ';';
}

sub merge
{
	my ($schema) = @_;
	my $target = pick(grep { $_->{insert} && !$_->{view} } @{ $schema->{targets} });
	my $table = $target->{table};
	my @columns = writable($table);
	my %fixed = map { $_ => 1 } 'id', 'part';
	my $values = join ",\n  ", map { "($_, " . between(1, 9) . ')' } some(between(1, 4), 1 .. 40);

	return "MERGE INTO app.$target->{name} AS t USING (VALUES $values) AS s (id, v) ON t.id = s.id"
	  . (chance(0.4) ? ' WHEN MATCHED AND s.v < 4 THEN DELETE' : '')
	  . ' WHEN MATCHED THEN ' . pick('UPDATE SET ' . assignments($target, 't', %fixed),
		'UPDATE SET team_id = s.v', 'DO NOTHING')
	  . ' WHEN NOT MATCHED THEN '
	  . pick('DO NOTHING', 'INSERT ' . column_list(@columns) . ' VALUES ('
		  . join(', ', map { $_->{name} eq 'id' ? 's.id' : new_value($_, 7) } @columns) . ')')
	  . ';';
}

# Two changes in one statement; the second from what the first returns.
sub writable_cte
{
	my ($schema) = @_;
	my $first = target($schema);
	my $change = pick('update', 'delete');
	my $second = target($schema);
	my $text = $change eq 'update'
	  ? "UPDATE app.$first->{name} AS t SET " . assignments($first, 't')
	  : "DELETE FROM app.$first->{name} AS t";
	my $where = condition($first->{table}, 't');

	$where = 't.id % 7 = 1' if $where eq 'true';
	# A rule of a view returns nothing unless it says so.
	return update($schema) if $first->{name} =~ /_w$/ || $second->{name} =~ /_w$/;
	$text = "WITH changed AS ($text WHERE $where RETURNING t.id, t.team_id)";
	return "$text UPDATE app.$second->{name} AS t SET team_id = c.team_id, n = t.n + 1"
	  . ' FROM changed c WHERE t.id % 6 = c.id % 6;'
	  if chance(0.5);
	return "$text DELETE FROM app.$second->{name} AS t USING changed c WHERE t.id = c.id + 3;"
	  if chance(0.5);
	my @columns = grep { $_->{name} ne 'id' } writable($first->{table});

	return "$text INSERT INTO app.$first->{table}{name} "
	  . column_list({ name => 'id' }, @columns) . ' SELECT c.id + 50, '
	  . join(', ', map { $_->{name} eq 'team_id' ? 'c.team_id' : new_value($_, 3) } @columns)
	  . ' FROM changed c;';
}

# psql's \copy, so that rows come over the protocol as from any client.
sub copy
{
	my ($schema) = @_;
	my $target = pick(grep { $_->{insert} && !$_->{view} } @{ $schema->{targets} });
	my @columns = grep { !$_->{fk} || chance(0.2) } writable($target->{table});
	my @lines = map {
		join '|', map { copy_value($_) } @columns
	} 1 .. between(1, 4);
	my $program = join '; ', map { "echo \"$_\"" } @lines;

	$program =~ s/'/''/g;
	return "\\copy app.$target->{name} " . column_list(@columns)
	  . " from program '$program' with (format csv, delimiter '|')";
}

sub copy_value
{
	my ($column) = @_;
	my $value = plain_value($column);

	# Ids that are mostly free.
	return between(46, 999) if $column->{name} eq 'id';
	return defined $value ? $value : '';
}

sub truncate_tables
{
	my ($schema) = @_;
	my $target = pick(grep { !$_->{view} } @{ $schema->{targets} });

	return 'TRUNCATE ' . only($target) . "app.$target->{name} CASCADE;"
	  if $target->{table}{kind} eq 'inherited';
	return "TRUNCATE app.$target->{name}" . pick('', ' RESTART IDENTITY') . ' CASCADE;';
}

# A cursor, and the row under it.
sub cursor
{
	my ($schema) = @_;
	my $target = pick(grep { !$_->{view} } @{ $schema->{targets} });

	return "DECLARE c CURSOR FOR SELECT * FROM app.$target->{name} ORDER BY id FOR UPDATE;\n"
	  . "MOVE FORWARD 2 IN c;\n"
	  . pick("UPDATE app.$target->{name} SET team_id = 4", "DELETE FROM app.$target->{name}")
	  . " WHERE CURRENT OF c;\nCLOSE c;";
}

sub prepared_statement
{
	my ($schema) = @_;
	my $target = target($schema);

	# One that failed before may have left it: it does not roll back.
	return "DEALLOCATE ALL;\nPREPARE p (int, int) AS UPDATE app.$target->{name} SET team_id = \$1 WHERE id % 8 = \$2;\n"
	  . join("\n", map { 'EXECUTE p (' . between(1, 6) . ', ' . between(0, 7) . ');' } 1 .. 2);
}

# ---------------------------------------------------------------------------
# Statements that change no rows themselves
# ---------------------------------------------------------------------------

sub select_rows
{
	my ($schema) = @_;
	my $target = target($schema);

	return "SELECT FROM app.$target->{name} AS t WHERE " . condition($target->{table}, 't')
	  . ($target->{view} ? ';' : pick(';', ' FOR UPDATE;', ' FOR SHARE;'));
}

sub failure
{
	my ($schema) = @_;

	return pick('SELECT 1 / 0;', "DO \$\$ BEGIN RAISE 'on purpose'; END \$\$;",
		"INSERT INTO app.$schema->{tables}[0]{name} (id) VALUES (NULL);",
		"UPDATE app.$schema->{tables}[0]{name} SET n = 1 / (id - id);");
}

sub replica_role
{
	return 'SET LOCAL session_replication_role = ' . pick('replica', 'replica', 'origin', 'local') . ';';
}

sub disable_triggers
{
	my ($schema) = @_;
	my $target = pick(grep { !$_->{view} } @{ $schema->{targets} });
	my $which = pick('USER', 'USER', 'ALL');

	return pick(
		"ALTER TABLE app.$target->{name} DISABLE TRIGGER $which;\nSELECT oracle.watch();",
		"ALTER TABLE app.$target->{name} ENABLE TRIGGER $which;\nSELECT oracle.watch();");
}

sub set_constraints
{
	return 'SET CONSTRAINTS ALL ' . pick('DEFERRED', 'IMMEDIATE') . ';';
}

# A key is the same in every session.
sub settings
{
	return 'SET LOCAL ' . pick("TimeZone = 'Asia/Kolkata'", "DateStyle = 'German, DMY'",
		"bytea_output = 'escape'", 'extra_float_digits = 0', "search_path = app, public",
		'quote_all_identifiers = on', "inval.pending_memory = '64kB'",
		'enable_partition_pruning = off', 'plan_cache_mode = force_generic_plan') . ';';
}

sub change_role
{
	return pick('SET LOCAL ROLE differential_user;', 'RESET ROLE;');
}

# DDL by which rows come and go, between two looks.
sub looked_at
{
	return 'SELECT oracle.look();', @_, 'SELECT oracle.look();';
}

sub partition_ddl
{
	my ($schema) = @_;
	my $group = pick(@{ $schema->{ddl} });
	my @some = chance(0.5) ? @$group : pick(@$group);

	return join "\n", map { looked_at(/;$/ ? $_ : "$_;") } @some;
}

sub refresh
{
	my ($schema) = @_;

	return join "\n", looked_at('REFRESH MATERIALIZED VIEW ' . pick('', 'CONCURRENTLY ')
		  . "app.$schema->{matview};");
}

# A change of a column's type and back, a new column with another value in each
# row: both copy all rows.
sub rewrite
{
	my ($schema) = @_;
	my $table = pick(@{ $schema->{tables} });
	my $alter = "ALTER TABLE app.$table->{name}";
	my $note = "SELECT oracle.rewritten('$table->{name}');";
	my @ways = "$alter ADD added float DEFAULT random();\n$alter DROP added;";

	# A view holds on to the types that it shows.
	push @ways, "$alter ALTER rid TYPE bigint;\n$alter ALTER rid TYPE int;"
	  unless grep { $_->{view} && $_->{table} == $table } @{ $schema->{targets} };
	return join "\n", $note, pick(@ways), $note;
}

# A function's body, perhaps with a handler, perhaps running into it.
sub do_block
{
	my ($schema) = @_;

	return 'DO $do$ ' . block($schema) . ' $do$;';
}

sub block_kinds
{
	my ($schema) = @_;

	return map { $_ => $kind{$_}{weight} }
	  grep { $kind{$_}{block} && $schema->{has}{$_} } keys %kind;
}

sub block
{
	my ($schema) = @_;
	my %weight = block_kinds($schema);
	my @text;

	$depth++;
	foreach (1 .. between(1, 3))
	{
		push @text, $depth < 3 && chance(0.25)
		  ? block($schema) . ';'
		  : $kind{ pick_weighted(%weight) }{make}->($schema);
	}
	$depth--;
	push @text, pick("RAISE 'on purpose';", 'PERFORM 1 / 0;') if chance(0.3);
	return 'BEGIN ' . join("\n", @text) . ' END' if chance(0.2);
	# Only what random statements run into: any other error is to be seen.
	return 'BEGIN ' . join("\n", @text)
	  . "\nEXCEPTION WHEN integrity_constraint_violation OR division_by_zero OR raise_exception"
	  . ' OR cardinality_violation OR triggered_data_change_violation OR object_in_use THEN '
	  . pick('NULL;', $kind{update}{make}->($schema)) . ' END';
}

1;
