=pod

=head1 NAME

Inval::Random::Shop - tables, rules and cached answers of the concurrent test

=head1 DESCRIPTION

A few tables of few rows, so that sessions meet; what an application would cache of
them; and rules that see to it.  Tables and columns are renamed and moved while it
runs, so everything here goes by the names that they have at the moment.

=cut

package Inval::Random::Shop;

use strict;
use warnings;

use Inval::Random;

# Columns: [ name, other name, highest value; 'key' is an id ].  "links" are
# foreign keys.  "kinds" are the answers that a table is part of.
my %table = (
	project => {
		columns => [ [ 'id', undef, 8, 'key' ], [ 'team_id', 'squad_id', 5 ], [ 'v', 'worth', 9 ] ],
		kinds => ['tasks'] },
	task => {
		columns => [ [ 'id', undef, 45, 'key' ], [ 'project_id', 'plan_id', 8 ], [ 'v', 'worth', 9 ] ],
		links => { project_id => 'project(id) ON DELETE CASCADE' },
		kinds => ['tasks'] },
	tag => {
		columns => [ [ 'id', undef, 8, 'key' ], [ 'v', 'worth', 9 ] ],
		kinds => [ 'article', 'author' ] },
	article => {
		columns => [ [ 'id', undef, 10, 'key' ], [ 'author_id', 'writer_id', 5 ], [ 'v', 'worth', 9 ] ],
		kinds => [ 'article', 'author' ] },
	link => {
		columns => [ [ 'article_id', 'page_id', 10 ], [ 'tag_id', 'label_id', 8 ], [ 'v', 'worth', 9 ] ],
		links => { article_id => 'article(id) ON DELETE CASCADE' },
		kinds => [ 'article', 'author' ] },
	node => {
		columns => [ [ 'id', undef, 20, 'key' ], [ 'parent_id', 'above_id', 20 ], [ 'v', 'worth', 9 ] ],
		links => { parent_id => 'node(id) ON DELETE SET NULL' },
		kinds => ['grand'] },
	price => {
		columns => [ [ 'id', undef, 30, 'key' ], [ 'item_id', 'thing_id', 6 ], [ 'v', 'worth', 9 ] ],
		kinds => ['price'] },
	# Nobody comes or goes, but to and from clubs.
	person => {
		columns => [ [ 'id', undef, 8, 'key' ], [ 'v', 'worth', 9 ] ],
		kinds => ['club'], fixed => 1 },
	# This has no rules: who changes it changes all persons in the same transaction.
	member => {
		columns => [ [ 'club_id', 'party_id', 5 ], [ 'person_id', 'human_id', 8 ], [ 'v', 'worth', 9 ] ],
		kinds => ['club'], fixed => 1 });

# What the rules are, with %column% for what a column is called, %table% likewise.
my %rules = (
	project => ["key => 'tasks:{%project.team_id%}'"],
	task => ["key => 'tasks:{%task.project_id%.%project.team_id%}'"],
	tag => [
		"key => 'article:{article_id}', via => 'SELECT %link.article_id% AS article_id"
		  . " FROM %link% WHERE %link.tag_id% = {id}'",
		"key => 'author:{author_id}', via => 'SELECT a.%article.author_id% AS author_id"
		  . " FROM %link% l JOIN %article% a ON a.id = l.%link.article_id% WHERE l.%link.tag_id% = {id}'" ],
	article => [ "key => 'article:{id}'", "key => 'author:{%article.author_id%}'" ],
	link => [
		"key => 'article:{%link.article_id%}'",
		"key => 'author:{%link.article_id%.%article.author_id%}'" ],
	node => [
		"key => 'grand:{%node.parent_id%.%node.parent_id%}'",
		"key => 'grand:{%node.parent_id%}'" ],
	price => ["key => 'price:{%price.item_id%}'"],
	person => [ "key => 'club:{club_id}', via => 'SELECT %member.club_id% AS club_id"
		  . " FROM %member% WHERE %member.person_id% = {id}'" ]);

# What is cached: how many keys, and what is found for each that has any.
my %kind = (
	tasks => { keys => 5,
		found => 'SELECT %project.team_id% AS k, %task.id% AS id, %task.v% AS v
			FROM %task% JOIN %project% ON %project.id% = %task.project_id%' },
	article => { keys => 10,
		found => "SELECT %article.id% AS k, %tag.id% AS id,
				concat_ws('/', %article.v%, %link.v%, %tag.v%) AS v
			FROM %article% LEFT JOIN (%link% JOIN %tag% ON %tag.id% = %link.tag_id%)
				ON %link.article_id% = %article.id%" },
	author => { keys => 5,
		found => "SELECT %article.author_id% AS k, %tag.id% AS id,
				concat_ws('/', %article.id%, %tag.v%) AS v
			FROM %article% JOIN %link% ON %link.article_id% = %article.id%
				JOIN %tag% ON %tag.id% = %link.tag_id%" },
	grand => { keys => 20,
		found => 'SELECT p.%node.parent_id% AS k, c.%node.id% AS id, c.%node.v% AS v
			FROM %c=node% JOIN %p=node% ON p.%node.id% = c.%node.parent_id%' },
	club => { keys => 5,
		found => 'SELECT %member.club_id% AS k, %person.id% AS id, %person.v% AS v
			FROM %person% JOIN %member% ON %member.person_id% = %person.id%' },
	price => { keys => 6,
		found => 'SELECT %price.item_id% AS k, %price.id% AS id, %price.v% AS v FROM %price%' });

=pod

=head2 new()

A random shop: how its tables are made, and its rules delivered.

=cut

sub new
{
	my ($class) = @_;
	my $self = bless {
		form => {
			task => pick('plain', 'partitioned'),
			price => pick('plain', 'plain', 'partitioned', 'inherited') },
		delivery => {}, changes => {}, tables => {}, columns => {} }, $class;

	foreach my $table (sort keys %table)
	{
		$self->{tables}{$table} = "app.$table";
		$self->{columns}{$table}{ $_->[0] } = $_->[0] foreach @{ $table{$table}{columns} };
		$self->{delivery}{$table} = pick('commit', 'commit', 'background');
	}
	return $self;
}

sub tables { return sort keys %table; }
sub tracked_tables { return sort keys %rules; }

# Those whose rows anybody may change; of others it is said above who.
sub free_tables { return grep { !$table{$_}{fixed} } sort keys %table; }
sub kinds { return sort keys %kind; }
sub kinds_of { return @{ $table{ $_[1] }{kinds} }; }
sub columns_of { return @{ $table{ $_[1] }{columns} }; }
sub form { return $_[0]{form}{ $_[1] } || 'plain'; }

# What they are called at the moment.
sub table_name { return $_[0]{tables}{ $_[1] }; }
sub column_name { return $_[0]{columns}{ $_[1] }{ $_[2] }; }

sub keys_of_kind
{
	my ($self, $kind) = @_;

	return map { "$kind:$_" } 1 .. $kind{$kind}{keys};
}

=pod

=head2 setup()

SQL that makes the tables with their rows, roles and rules.

=cut

sub setup
{
	my ($self) = @_;
	my @sql = ('CREATE SCHEMA app AUTHORIZATION keeper', 'CREATE SCHEMA moved AUTHORIZATION keeper',
		'GRANT USAGE ON SCHEMA app, moved TO scribe, quill',
		'GRANT EXECUTE ON FUNCTION inval_touch TO keeper',
		'SET ROLE keeper');

	push @sql, $self->create($_), $self->rows($_)
	  foreach qw(project task tag article link node price person member);
	# Of the owner, whom it does not concern, and of one writer.
	push @sql, "ALTER TABLE app.$_ ENABLE ROW LEVEL SECURITY",
	  "CREATE POLICY part ON app.$_ TO scribe USING (id % 4 <> 0)",
	  "CREATE POLICY whole ON app.$_ TO quill USING (true)"
	  foreach qw(tag article);
	push @sql, $self->track($_) foreach $self->tracked_tables;
	push @sql, 'RESET ROLE';
	return join ";\n", @sql, '';
}

# Makes a table, or its parts.
sub create
{
	my ($self, $name) = @_;
	my $table = $table{$name};
	my @columns;

	foreach my $column (@{ $table->{columns} })
	{
		my ($column_name, undef, undef, $is_key) = @$column;
		my $parent = $table->{links}{$column_name};

		push @columns, "$column_name int" . ($parent ? " REFERENCES app.$parent" : '')
		  . ($is_key ? ' PRIMARY KEY' : '');
	}
	my @sql = "CREATE TABLE app.$name (" . join(', ', @columns) . ')'
	  . ($self->form($name) eq 'partitioned' ? ' PARTITION BY RANGE (id)' : '');
	push @sql, map { $self->create_part($name, $_) } 0 .. 2 if $self->form($name) ne 'plain';
	push @sql, grants("app.$name");
	return @sql;
}

# Whoever makes it, it is like the others.
sub grants
{
	my ($table) = @_;

	return ("ALTER TABLE $table OWNER TO keeper",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON $table TO scribe",
		"GRANT INSERT, UPDATE, DELETE ON $table TO quill");
}

sub create_part
{
	my ($self, $table, $number) = @_;
	my $part = "app.${table}_$number";

	return ("CREATE TABLE $part PARTITION OF app.$table " . bounds($number), grants($part))
	  if $self->form($table) eq 'partitioned';
	return ("CREATE TABLE $part (LIKE app.$table INCLUDING ALL)",
		"ALTER TABLE $part INHERIT app.$table", grants($part));
}

sub bounds
{
	my ($number) = @_;

	return 'FOR VALUES FROM (' . ($number * 15 + 1) . ') TO (' . ($number * 15 + 16) . ')';
}

sub rows
{
	my ($self, $name) = @_;
	my $salt = between(1, 1000);
	my @columns = @{ $table{$name}{columns} };
	my $has_key = $columns[0][3];
	my $number = $has_key ? $columns[0][2] : 30;
	my @values = map { $_->[3] ? 'n' : "1 + abs(hashint4(n * 7 + ascii('$_->[0]') + $salt)) % $_->[2]" } @columns;

	return "INSERT INTO app.$name SELECT " . join(', ', @values)
	  . " FROM generate_series(1, $number) n";
}

=pod

=head2 track($table)

The statements that make its rules.

=head2 touch_all($table)

One that invalidates all answers that it is part of.

=head2 answers($kind)

A query for all answers of a kind.  A key that is not in it has an empty one.

=head2 names_query(), set_names($text)

What everything is called now, for what comes after.

=cut

sub track
{
	my ($self, $name, $options) = @_;
	my @rules = map { $self->named($_, 0) } @{ $rules{$name} };

	return map {
		"SELECT inval_track('$self->{tables}{$name}', $_, delivery => '$self->{delivery}{$name}'"
		  . ($options || '') . ')'
	} @rules;
}

sub rules_of { return scalar @{ $rules{ $_[1] } }; }

sub touch_all
{
	my ($self, @names) = @_;
	my %kinds = map { $_ => 1 } map { @{ $table{$_}{kinds} } } @names;

	return map { "SELECT count(inval_touch('$_:' || n)) FROM generate_series(1, $kind{$_}{keys}) n" }
	  sort keys %kinds;
}

# Puts names into a text.  Of rows (as JSON) columns are taken by whatever name they have:
# a rename may come between.
sub named
{
	my ($self, $text, $as_rows) = @_;
	my $field = sub {
		my ($table, $name) = @_;
		my ($column) = grep { $_->[0] eq $name } @{ $table{$table}{columns} };

		return $self->{columns}{$table}{$name} unless $as_rows;
		return "(r->>'$name')" unless defined $column->[1];
		return "coalesce(r->>'$name', r->>'$column->[1]')";
	};
	my $of = sub {
		my ($alias, $column) = @_;

		$column =~ s/\br->/$alias.r->/g;
		return $column;
	};
	my $source = sub {
		my ($alias, $table) = @_;

		return $as_rows ? "(SELECT to_jsonb(x) AS r FROM $self->{tables}{$table} x) $alias"
		  : $self->{tables}{$table};
	};

	$text =~ s/\b(\w)\.%(\w+)\.(\w+)%/$as_rows ? $of->($1, $field->($2, $3)) : "$1." . $field->($2, $3)/ge;
	$text =~ s/%(\w+)\.(\w+)%/$as_rows ? $of->($1, $field->($1, $2)) : $field->($1, $2)/ge;
	$text =~ s/%(\w+)=(\w+)%/$source->($1, $2)/ge;
	$text =~ s/%(\w+)%/$source->($1, $1)/ge;
	return $text;
}

sub answers
{
	my ($self, $kind) = @_;

	return "SELECT '$kind:' || k, string_agg(concat(id, '=', v), ',' ORDER BY id, v) FROM ("
	  . $self->named($kind{$kind}{found}, 1) . ') found WHERE k IS NOT NULL GROUP BY k';
}

sub names_query
{
	my ($self) = @_;
	my $names = join ', ', map { "('$_')" } $self->tables;

	return "SELECT n, t::text, string_agg(attname, ' ')
		FROM (VALUES $names) v (n)
			CROSS JOIN coalesce(to_regclass('app.' || n), to_regclass('app.' || n || '_moved'),
				to_regclass('moved.' || n)) t
			JOIN pg_attribute ON attrelid = t AND attnum > 0 GROUP BY 1, 2";
}

sub set_names
{
	my ($self, $text) = @_;

	foreach (split /\n/, $text)
	{
		my ($name, $table, $columns) = split /\|/;
		my %there = map { $_ => 1 } split / /, $columns || '';

		next unless $table{$name} && $columns;
		$self->{tables}{$name} = $table;
		foreach my $column (@{ $table{$name}{columns} })
		{
			$self->{columns}{$name}{ $column->[0] } = $column->[1]
			  if defined $column->[1] && $there{ $column->[1] };
			$self->{columns}{$name}{ $column->[0] } = $column->[0] if $there{ $column->[0] };
		}
	}
	return;
}

1;
