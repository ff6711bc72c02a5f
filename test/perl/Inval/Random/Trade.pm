=pod

=head1 NAME

Inval::Random::Trade - random transactions on a shop, for many sessions at once

=head1 DESCRIPTION

C<random_trade($shop, %weight)> gives what one transaction does:

=over

=item steps

Statements, or functions that give some, to be called when it is their turn, because
names may have changed.

=item ddl

True if names may be others after it.

=item untracks, tracks

The table that has no rules after it, or has them again, if it commits.

=item ends

C<commit>, C<rollback>, C<prepare>, or C<alone> for what cannot be in a transaction block.

=back

=cut

package Inval::Random::Trade;

use strict;
use warnings;

use Exporter 'import';

use Inval::Random;

our @EXPORT = qw(random_trade trade_that_tracks);

# What a transaction is about: how often.
my %about = (rows => 60, ddl => 12, truncate => 3, swap => 4, parts => 6, untrack => 2, retrack => 2,
	relink => 1, rekey => 2, members => 6, alone => 2);
my %make = (rows => \&rows, ddl => \&ddl, truncate => \&truncate_table, swap => \&swap,
	parts => \&parts, retrack => \&retrack, relink => \&relink, rekey => \&rekey,
	members => \&members);

sub random_trade
{
	my ($shop, %weight) = @_;
	my $what = pick_weighted(%about, %weight);

	return untrack($shop) if $what eq 'untrack';
	return { steps => [ alone($shop) ], ends => 'alone', ddl => 0, about => $what } if $what eq 'alone';
	my @body = $make{$what}->($shop);
	my $role = $what eq 'rows' ? pick_weighted(none => 5, keeper => 2, scribe => 2, quill => 1)
	  : pick('none', 'keeper');
	# Rules go and come together, or not at all.
	my $whole = $what =~ /^(?:swap|retrack|relink|rekey|members)$/;
	my @steps = ('\set ON_ERROR_ROLLBACK ' . ($whole ? 'off' : pick('on', 'off')),
		$what eq 'members' ? 'BEGIN ISOLATION LEVEL READ COMMITTED' : begin());

	push @steps, pick("SET LOCAL lock_timeout = '" . pick(1, 10, 50, 200) . "ms'",
		"SET LOCAL statement_timeout = '" . pick(3, 10, 30, 100) . "ms'") if chance(0.25);
	# Others commit, and readers read, between its look-ups and the moment others see it.
	push @steps, 'SET LOCAL commit_delay = ' . between(1, 10) * 1000 if chance(0.3);
	push @steps, 'SET LOCAL synchronous_commit = off' if chance(0.4);
	push @steps, "SET LOCAL ROLE $role" if $role ne 'none';
	push @steps, rows($shop) if chance(0.5);
	push @steps, in_savepoint(@body);
	push @steps, rows($shop) if chance(0.4);
	push @steps, 'SET LOCAL statement_timeout = 0' if chance(0.5);
	return { steps => \@steps, ddl => $what ne 'rows', about => $what,
		ends => pick_weighted(commit => 85, rollback => 8, prepare => 7) };
}

sub begin
{
	return 'BEGIN ISOLATION LEVEL '
	  . pick_weighted('READ COMMITTED' => 6, 'REPEATABLE READ' => 2, SERIALIZABLE => 2);
}

# A table without rules that is looked up in: all rows that lead there are changed, too,
# so what led there before counts, whatever has become of the table.
sub members
{
	my ($shop) = @_;

	return sub {
		my $name = $shop->table_name('member');
		my %column = map { $_ => $shop->column_name('member', $_) } qw(club_id person_id v);
		my $some = sub { "$column{club_id} = " . between(1, 5) . (chance(0.5) ? '' : " AND $column{person_id} % 2 = 0") };
		my $insert = sub {
			"INSERT INTO $name ($column{club_id}, $column{person_id}) SELECT " . between(1, 5)
			  . ', n FROM generate_series(1, 8) n WHERE n % 3 = ' . between(0, 2);
		};
		my %sql = (
			insert => sub { $insert->() },
			delete => sub { "DELETE FROM $name WHERE " . $some->() },
			update => sub { "UPDATE $name SET $column{club_id} = " . between(1, 5) . ' WHERE ' . $some->() },
			truncate => sub { "TRUNCATE $name", $insert->() },
			rewrite => sub { "ALTER TABLE $name ALTER $column{v} TYPE int USING 1" },
			values => sub { "ALTER TABLE $name ALTER $column{club_id} TYPE int USING 1 + $column{club_id} % 5" });
		my @sql = map { $sql{$_}->() } map { pick(sort keys %sql) } 1 .. pick(1, 2, 3);

		return (chance(0.3) ? change($shop, 'person') : (), @sql,
			'UPDATE ' . $shop->table_name('person') . ' SET ' . $shop->column_name('person', 'v')
			  . ' = ' . between(1, 9));
	};
}

# Now and then as it is, or rolled back in some way, and perhaps done after all.
sub in_savepoint
{
	my (@body) = @_;
	my $how = pick_weighted(plain => 50, released => 10, undone => 10, twice => 8, caught => 12, thrown => 10);

	return @body if $how eq 'plain';
	return ('SAVEPOINT s', @body, 'RELEASE s') if $how eq 'released';
	return ('SAVEPOINT s', @body, 'ROLLBACK TO s') if $how eq 'undone';
	return ('SAVEPOINT s', @body, 'ROLLBACK TO s', @body) if $how eq 'twice';
	return sub { block($how eq 'thrown', map { ref $_ ? $_->() : $_ } @body) };
}

# In a subtransaction of PL/pgSQL, which catches whatever happens.
sub block
{
	my ($throws, @statements) = @_;
	my $text = join '; ', map { s/\ASELECT /PERFORM /r } @statements, $throws ? "RAISE 'on purpose'" : ();
	# Longer than any in it.
	my $quote = '$' . ('b' x length($text =~ s/[^\$]//gr)) . '$';

	return "DO $quote BEGIN $text; EXCEPTION WHEN query_canceled OR OTHERS THEN NULL; END $quote";
}

# ---------------------------------------------------------------------------
# Rows
# ---------------------------------------------------------------------------

sub rows
{
	my ($shop) = @_;

	return map { my $table = pick($shop->free_tables, 'person'); sub { change($shop, $table) } } 1 .. pick(1, 1, 2, 3, 5);
}

sub value
{
	my ($column) = @_;
	my ($name, $other, $highest, $is_key) = @$column;

	return 'NULL' if !$is_key && $other && $name =~ /^(?:team|project|author|parent|item)_id/ && chance(0.08);
	return between(1, $highest);
}

sub condition
{
	my ($shop, $table) = @_;
	my $column = pick(grep { $_->[0] ne 'v' } $shop->columns_of($table));
	my $name = $shop->column_name($table, $column->[0]);

	return "$name = " . between(1, $column->[2]) if chance(0.7);
	return "$name IN (" . join(', ', map { between(1, $column->[2]) } 1 .. 3) . ')' if chance(0.6);
	return "$name % 5 = " . between(0, 4) if chance(0.9);
	return 'true';
}

sub change
{
	my ($shop, $table) = @_;
	my $name = $shop->table_name($table);
	my @columns = $shop->columns_of($table);
	my $of = sub { $shop->column_name($table, $_[0][0]) };
	my $what = pick_weighted(update => 10, insert => 5, delete => 2, select => 1);

	return "UPDATE $name SET " . $shop->column_name($table, 'v') . ' = ' . between(1, 9)
	  . ' WHERE id % 3 = ' . between(0, 2) if $table eq 'person';
	return 'SELECT 1' if $table eq 'member';

	$name = "app.${table}_" . between(0, 2) if $shop->form($table) ne 'plain' && chance(0.15);
	if ($what eq 'update')
	{
		my @set = map { $of->($_) . ' = ' . value($_) }
		  some(between(1, 2), grep { !$_->[3] || chance(0.05) } @columns);

		@set = ($of->($columns[-1]) . ' = ' . value($columns[-1])) unless @set;
		return "UPDATE $name SET " . join(', ', @set) . ' WHERE ' . condition($shop, $table);
	}
	if ($what eq 'insert')
	{
		my $rows = join ', ', map { '(' . join(', ', map { value($_) } @columns) . ')' } 1 .. pick(1, 1, 3);
		my $v = $shop->column_name($table, 'v');

		return "INSERT INTO $name (" . join(', ', map { $of->($_) } @columns) . ") VALUES $rows"
		  . ($columns[0][3] ? pick(' ON CONFLICT DO NOTHING',
			" ON CONFLICT (id) DO UPDATE SET $v = excluded.$v") : '');
	}
	return "DELETE FROM $name WHERE " . condition($shop, $table) . (chance(0.5) ? ' AND v::text <> \'0\'' : '')
	  if $what eq 'delete';
	return "SELECT count(*) FROM (SELECT 1 FROM $name WHERE " . condition($shop, $table) . ' FOR UPDATE) s';
}

# ---------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------

sub ddl
{
	my ($shop) = @_;

	return map { my $table = pick($shop->tables); sub { alter($shop, $table) } } 1 .. pick(1, 1, 2);
}

sub alter
{
	my ($shop, $table) = @_;
	my $name = $shop->table_name($table);
	my $column = pick($shop->columns_of($table));
	my $column_name = $shop->column_name($table, $column->[0]);
	my $type = pick('int', 'bigint');
	my $what = pick_weighted(rename => 4, move => 4, type => 4, rewrite => 2, values => 3, add => 2,
		force => 1, index => 1, triggers => 1, cluster => 1);

	if ($what eq 'rename')
	{
		($column) = grep { defined $_->[1] } some(9, $shop->columns_of($table));
		$column_name = $shop->column_name($table, $column->[0]);
		my $new = $column_name eq $column->[0] ? $column->[1] : $column->[0];

		return ("ALTER TABLE $name RENAME $column_name TO $new",
			chance(0.4) ? "ALTER TABLE $name RENAME $new TO $column_name" : ());
	}
	if ($what eq 'move')
	{
		return "ALTER TABLE $name RENAME TO $table" if $name eq "app.${table}_moved";
		return "ALTER TABLE $name SET SCHEMA app" if $name eq "moved.$table";
		return ("ALTER TABLE $name RENAME TO ${table}_moved",
			chance(0.6) ? "ALTER TABLE app.${table}_moved RENAME TO $table" : ()) if chance(0.5);
		return ("ALTER TABLE $name SET SCHEMA moved",
			chance(0.6) ? "ALTER TABLE moved.$table SET SCHEMA app" : ());
	}
	return "ALTER TABLE $name ALTER $column_name TYPE $type" if $what eq 'type' && $column->[0] ne 'id';
	if ($what eq 'values' || $what eq 'type')
	{
		# What keys are made of, too.
		my ($of) = grep { $_->[0] =~ /^(?:team|item|author)_id$/ } $shop->columns_of($table);
		my ($v, $key) = map { $shop->column_name($table, $_) } 'v', $of ? $of->[0] : 'v';
		my $cycle = $of ? "ALTER $key TYPE int USING 1 + $key % $of->[2]" : '';

		return "ALTER TABLE $name $cycle" . (chance(0.3) ? ", ALTER $v TYPE int USING 1" : '')
		  if $of && chance(0.5);
		return "ALTER TABLE $name ALTER $v TYPE "
		  . pick("$type USING 1 + $v % 9", "$type USING $v", "numeric USING $v + 1");
	}
	return ("ALTER TABLE $name DROP COLUMN IF EXISTS extra",
		"ALTER TABLE $name ADD COLUMN extra uuid DEFAULT gen_random_uuid()") if $what eq 'rewrite';
	return ("ALTER TABLE $name DROP COLUMN IF EXISTS extra",
		chance(0.5) ? "ALTER TABLE $name ADD COLUMN extra int DEFAULT 7" : ()) if $what eq 'add';
	# Rules that read it are broken then: only if it does not stay.
	return block(1, "ALTER TABLE $name FORCE ROW LEVEL SECURITY", change($shop, $table),
		change($shop, pick($shop->free_tables))) if $what eq 'force';
	return ("DROP INDEX IF EXISTS app.extra_$table, moved.extra_$table",
		"CREATE INDEX extra_$table ON $name ($column_name)") if $what eq 'index';
	return ("ALTER TABLE $name DISABLE TRIGGER " . pick('USER', 'ALL'), change($shop, $table),
		"ALTER TABLE $name ENABLE TRIGGER ALL") if $what eq 'triggers';
	return ("CREATE UNIQUE INDEX IF NOT EXISTS by_key ON $name (id)",
		"CLUSTER $name USING by_key", 'DROP INDEX app.by_key')
	  if $shop->form($table) eq 'plain' && $table !~ /^(?:link|member)$/;
	return change($shop, $table);
}

sub truncate_table
{
	my ($shop) = @_;
	my $table = pick('link', 'link', 'task', 'tag', 'project', 'article', 'node', 'price');

	return sub {
		my $name = $shop->table_name($table);

		return ("TRUNCATE $name" . (chance(0.7) ? ' CASCADE' : ''),
			map { change($shop, $_) } $table, pick($table, $shop->free_tables), $table);
	};
}

# A new table takes the place of one by renames, and its rules are made anew, in the
# same transaction; those that read it, too.  Two of them may be at it at the same time.
sub swap
{
	my ($shop) = @_;
	my $table = pick('link', $shop->form('price') eq 'plain' ? ('price') : ());
	my ($new, $old) = map { "${table}_${_}_" . between(1, 9999) } qw(new old);
	my $reads = chance(0.5);

	return sub {
		my $name = $shop->table_name($table);
		my $key = $table eq 'link' ? $shop->column_name($table, 'article_id') : '';
		my @columns = map { $shop->column_name($table, $_->[0]) . ' int' . ($_->[3] ? ' PRIMARY KEY' : '') }
		  $shop->columns_of($table);

		return change($shop, $table) if $name ne "app.$table";
		return ($reads ? "CREATE TABLE app.$new (LIKE $name INCLUDING ALL)"
			  : "CREATE TABLE app.$new (" . join(', ', @columns) . ')',
			$key ? "ALTER TABLE app.$new ADD FOREIGN KEY ($key) REFERENCES "
			  . $shop->table_name('article') . ' ON DELETE CASCADE' : (),
			Inval::Random::Shop::grants("app.$new"),
			$reads ? "INSERT INTO app.$new SELECT * FROM $name WHERE " . condition($shop, $table)
			  : "INSERT INTO app.$new VALUES "
			  . join(', ', map { "($_, " . between(1, 6) . ', ' . between(1, 8) . ')' } 1 .. 8),
			"ALTER TABLE $name RENAME TO $old",
			"ALTER TABLE app.$new RENAME TO $table",
			$key ? "SELECT inval_untrack('" . $shop->table_name('tag') . "')" : (),
			$shop->track($table), $key ? $shop->track('tag') : (),
			chance(0.8) ? "DROP TABLE app.$old" : (),
			map { change($shop, $_) } some(1, $table, 'tag'));
	};
}

# The table that a query looks up in is dropped with the rules that read it, and
# all made anew.
sub relink
{
	my ($shop) = @_;

	return sub {
		return change($shop, 'link') if $shop->table_name('link') ne 'app.link';
		# It gets the names it began with.
		my %now = %{ $shop->{columns}{link} };
		my @sql = (change($shop, 'tag'), 'DROP TABLE app.link CASCADE');
		my $article = $shop->table_name('article');

		$shop->{columns}{link} = { map { $_ => $_ } keys %now };
		push @sql, map { s/REFERENCES app\.article/REFERENCES $article/r } $shop->create('link');
		push @sql, $shop->track('link'), $shop->track('tag'),
		  $shop->rows('link') . ' ON CONFLICT DO NOTHING';
		$shop->{columns}{link} = \%now;
		return @sql;
	};
}

# A foreign key goes, with the rules that follow it, and comes again.  What the worker had
# still to look up for those is nobody's any more.
sub rekey
{
	my ($shop) = @_;
	my ($table, $column, $parent) = @{ pick([qw(task project_id project)], [qw(link article_id article)]) };

	return sub {
		my $name = $shop->table_name($table);
		my $key = $shop->column_name($table, $column);

		return ("DO \$\$ DECLARE n name; BEGIN FOR n IN SELECT conname FROM pg_constraint"
			  . " WHERE conrelid = '$name'::regclass AND contype = 'f' LOOP"
			  . " EXECUTE format('ALTER TABLE $name DROP CONSTRAINT %I CASCADE', n); END LOOP; END \$\$",
			"ALTER TABLE $name ADD FOREIGN KEY ($key) REFERENCES " . $shop->table_name($parent)
			  . ' ON DELETE CASCADE',
			$shop->track($table), $shop->touch_all($table));
	};
}

sub parts
{
	my ($shop) = @_;
	my @tables = grep { $shop->form($_) ne 'plain' } $shop->tables;
	my $table = @tables ? pick(@tables) : undef;
	my $number = between(0, 2);

	return rows($shop) unless $table;
	return sub {
		my $name = $shop->table_name($table);
		my $part = "app.${table}_$number";
		my $v = $shop->column_name($table, 'v');
		my $write = "UPDATE $part SET $v = " . between(1, 9) . ' WHERE id % 3 = ' . between(0, 2);
		my @away = $shop->form($table) eq 'inherited' ? "ALTER TABLE $part NO INHERIT $name"
		  : "ALTER TABLE $name DETACH PARTITION $part";
		my @back = $shop->form($table) eq 'inherited' ? "ALTER TABLE $part INHERIT $name"
		  : "ALTER TABLE $name ATTACH PARTITION $part " . Inval::Random::Shop::bounds($number);
		my $what = pick_weighted(away => 3, back => 4, both => 3, new => 2);

		return @away if $what eq 'away';
		return ($write, @back) if $what eq 'back';
		return (@away, $write, @back) if $what eq 'both';
		return $write if $name ne "app.$table";
		return ("DROP TABLE IF EXISTS $part", $shop->create_part($table, $number),
			change($shop, $table), change($shop, $table));
	};
}

# ---------------------------------------------------------------------------
# Rules
# ---------------------------------------------------------------------------

# A transaction of its own.  Its end is that of what answers are promised.
sub untrack
{
	my ($shop) = @_;
	my $table = pick($shop->tracked_tables);

	return { steps => [ '\set ON_ERROR_ROLLBACK off', 'BEGIN',
			sub { "SELECT inval_untrack('" . $shop->table_name($table) . "')" } ],
		untracks => $table, ends => 'commit', ddl => 0, about => 'untrack' };
}

# All answers made meanwhile go, with this transaction.
sub trade_that_tracks
{
	my ($shop, $table) = @_;

	return { steps => [ '\set ON_ERROR_ROLLBACK off', 'BEGIN',
			sub { ($shop->track($table), $shop->touch_all($table)) } ],
		tracks => $table, ends => 'commit', ddl => 0, about => 'track' };
}

# The same again, with another option, or off for as long as nobody sees it.
sub retrack
{
	my ($shop) = @_;
	my $table = pick($shop->tracked_tables);

	return sub {
		my @same = $shop->track($table);
		my $name = $shop->table_name($table);

		return @same if chance(0.3);
		return map { s/delivery => '\w+'/"delivery => '" . pick('commit', 'background') . "'"/er } @same
		  if chance(0.5);
		return ("SELECT inval_untrack('$name')", change($shop, $table), @same, $shop->touch_all($table));
	};
}

# What does not want to be in a transaction block.
sub alone
{
	my ($shop) = @_;
	my $table = pick($shop->tables);

	return '\set ON_ERROR_ROLLBACK off', sub {
		my $name = $shop->table_name($table);
		my $what = pick_weighted(row => 3, vacuum => 2, full => 1, detach => 2);

		return change($shop, $table) if $what eq 'row';
		return "VACUUM $name" if $what eq 'vacuum';
		return "VACUUM FULL $name" if $what eq 'full' || $shop->form($table) ne 'partitioned';
		return "ALTER TABLE $name DETACH PARTITION app.${table}_" . between(0, 2)
		  . pick(' CONCURRENTLY', ' FINALIZE');
	};
}

1;
