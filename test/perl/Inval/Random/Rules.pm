=pod

=head1 NAME

Inval::Random::Rules - random rules for the differential test

=head1 DESCRIPTION

C<random_rules($schema)> gives the SQL that tracks the tables of a random schema, each rule
twice: as a call of inval_track, and as a query over jsonb for the oracle.  Both are
made from the same list of parts, each a hash:

=over

=item C<text>: literal text

=item C<column>, perhaps with C<filter>

=item C<steps>, C<column>: foreign keys to follow, and a column of the last parent

=item C<elements>: an array column; with C<steps>, of the last parent

=item C<variable>

=item C<result>: a column of the C<via> query

=back

=cut

package Inval::Random::Rules;

use strict;
use warnings;

use Exporter 'import';

use Inval::Oracle;
use Inval::Random;

our @EXPORT = qw(random_rules);

my @variable = ('v1', 'v2');

sub random_rules
{
	my ($schema) = @_;
	my $has = $schema->{has};
	my $rules = [];

	foreach my $table (@{ $schema->{tables} })
	{
		my @relations = $table->{name};

		push @relations, @{ $table->{levels} }, @{ $table->{leaves} }
		  if $has->{part_rules} && chance(0.5);
		# A table without any rule is part of the picture.
		next if chance(0.1);
		add_simple_rule($rules, $table, $table->{name}, $has);
		add_simple_rule($rules, $table, pick(@relations), $has) while chance(0.5);
	}
	if ($has->{paths})
	{
		foreach my $table (grep { @{ $_->{fks} } } @{ $schema->{tables} })
		{
			add_path_rules($rules, $table, $has) while chance(0.6);
		}
	}
	if ($has->{via})
	{
		foreach my $link (grep { @{ $_->{fks} } >= 2 } @{ $schema->{tables} })
		{
			add_via_rules($rules, $link) if chance(0.8);
		}
	}
	new_rule($rules, relation => $schema->{matview},
		parts => [ { column => { name => 'team_id', type => 'int' } } ])
	  if $schema->{matview};
	forget_drops($schema, $rules);
	return (
		$has->{variables}
		? 'SELECT inval_set_var(\'release\', ' . join(', ', map { quote($_) } @variable) . ')'
		: (),
		map({ track_command($_) } @$rules),
		oracle_keys_sql(map { $_->{number} => $_->{query} || key_query($_) } @$rules));
}

# A rule goes with its table.  The oracle knows the rules of the start only, so
# what has one of its own is not dropped.
sub forget_drops
{
	my ($schema, $rules) = @_;
	my %has_rule = map { $_->{relation} => 1 } @$rules;

	$schema->{ddl} =
	  [ grep { !($_->[0] =~ /^DROP TABLE app\.(\S+)/ && $has_rule{$1}) } @{ $schema->{ddl} } ];
	return;
}

sub new_rule
{
	my ($rules, %rule) = @_;
	my $number = @$rules + 1;

	push @$rules, { number => $number, prefix => "r$number", %rule };
	$rules->[-1]{family} ||= $number;
	return $rules->[-1];
}

sub scalars
{
	my ($table) = @_;

	return grep { $_->{name} ne 'n' && $_->{type} !~ /s$/ } @{ $table->{columns} };
}

# A column, perhaps filtered; the filters are those that SQL has too.
sub column_part
{
	my ($column, $has) = @_;
	my $part = { column => $column };

	$part->{filter} = pick('lower', 'upper', 'md5', 'sha256:16')
	  if $has->{filters} && chance(0.3);
	return $part;
}

sub add_simple_rule
{
	my ($rules, $table, $relation, $has) = @_;
	my @columns = some(between(1, 2), scalars($table));
	my @arrays = grep { $_->{type} =~ /s$/ } @{ $table->{columns} };
	my %rule = (relation => $relation);

	if ($has->{changes} && chance(0.25))
	{
		# A key that stays with its row: whether the row has changed is told
		# by the columns in the list alone.
		@columns = grep { $_->{name} eq 'rid' } @{ $table->{columns} };
		$rule{changes} = [ some(between(1, 2), grep { !$_->{fixed} } scalars($table)) ];
	}
	elsif ($has->{changes} && chance(0.25))
	{
		# A key all of whose columns are in the list.
		my %seen;

		$rule{changes} = [ grep { !$seen{ $_->{name} }++ } @columns, some(1, scalars($table)) ];
	}
	elsif (chance(0.3))
	{
		# The short form; once for a relation, because it has no prefix.
		my ($same) = grep { $_->{short} && $_->{relation} eq $relation } @$rules;

		$rule{short} = 1 unless $same;
	}
	$rule{parts} = [ map { column_part($_, $rule{short} ? {} : $has) } @columns ];
	push @{ $rule{parts} }, { elements => pick(@arrays) }
	  if $has->{elements} && @arrays && !$rule{changes} && !$rule{short} && chance(0.5);
	push @{ $rule{parts} }, { variable => 'release' }
	  if $has->{variables} && !$rule{short} && chance(0.3);
	$rule{field} = [ column_part(pick(scalars($table)), $has) ]
	  if $has->{fields} && !$rule{changes} && !$rule{short} && chance(0.3);
	$rule{background} = chance(0.3);
	new_rule($rules, %rule);
}

# A path, and the same key from each table on the way: a family.  The same table
# can be there twice: a self-reference of which one step is left.
sub add_path_rules
{
	my ($rules, $table, $has) = @_;
	my @steps = pick(@{ $table->{fks} });
	my @stations = ($table, $steps[0]{parent});
	my ($end, $first);

	while (@{ $stations[-1]{fks} } && @steps < 3 && chance(0.5))
	{
		push @steps, pick(@{ $stations[-1]{fks} });
		push @stations, $steps[-1]{parent};
	}
	my @arrays = grep { $_->{type} =~ /s$/ } @{ $stations[-1]{columns} };
	$end = $has->{elements} && @arrays && chance(0.3)
	  ? { elements => pick(@arrays) }
	  : column_part(pick(scalars($stations[-1])), $has);
	foreach my $i (0 .. $#stations)
	{
		my $rule = new_rule($rules,
			relation => $stations[$i]{name},
			parts => [ { %$end, steps => [ @steps[ $i .. $#steps ] ] } ],
			follows => $i < $#stations,
			in_family($first));

		$first ||= $rule;
	}
}

# What makes another rule have the same keys as the first of a family.
sub in_family
{
	my ($first) = @_;

	return $first ? (prefix => $first->{prefix}, family => $first->{number}) : ();
}

# From one side of a link table to the other.
sub add_via_rules
{
	my ($rules, $link) = @_;
	my ($from, $to) = some(2, grep { @{ $_->{columns} } == 1 } @{ $link->{fks} });

	return unless $to;
	my ($a, $b) = ($from->{columns}[0], $to->{columns}[0]);
	my ($b_column) = grep { $_->{name} eq $b } @{ $link->{columns} };
	my $rule;

	if (chance(0.5))
	{
		$rule = new_rule($rules,
			relation => $from->{parent}{name},
			follows => 1,
			parts => [ { result => $b } ],
			via => "SELECT $b FROM $link->{name} WHERE $a = {id}");
		$rule->{query} = "SELECT '$rule->{prefix}:' || (l ->> '$b')"
		  . " FROM oracle.rows('$link->{name}', lo, hi) l"
		  . " WHERE l ->> '$a' = r ->> 'id' AND l ->> '$b' IS NOT NULL";
		new_rule($rules, relation => $link->{name}, in_family($rule),
			parts => [ { column => $b_column } ]);
	}
	else
	{
		my ($column) = grep { $_->{name} eq 'team_id' } @{ $to->{parent}{columns} };

		$rule = new_rule($rules,
			relation => $from->{parent}{name},
			follows => 1,
			parts => [ { result => 'team_id' } ],
			via => "SELECT p.team_id FROM $link->{name} l"
			  . " JOIN $to->{parent}{name} p ON p.id = l.$b WHERE l.$a = {id}");
		$rule->{query} = "SELECT '$rule->{prefix}:' || (p ->> 'team_id')"
		  . " FROM oracle.rows('$link->{name}', lo, hi) l,"
		  . " oracle.rows('$to->{parent}{name}', lo, hi) p"
		  . " WHERE l ->> '$a' = r ->> 'id' AND p ->> 'id' = l ->> '$b'"
		  . " AND p ->> 'team_id' IS NOT NULL";
		new_rule($rules, relation => $link->{name}, in_family($rule), follows => 1,
			parts => [ { steps => [$to], column => $column } ]);
		new_rule($rules, relation => $to->{parent}{name}, in_family($rule),
			parts => [ { column => $column } ]);
	}
}

# ---------------------------------------------------------------------------
# A rule in two languages
# ---------------------------------------------------------------------------

sub in_template
{
	my ($part) = @_;
	my ($inner, @path);

	return "{\$$part->{variable}}" if $part->{variable};
	return "{$part->{result}}" if $part->{result};
	push @path, map { template_name($_->{named}) } @{ $part->{steps} || [] };
	push @path, template_name(($part->{column} || $part->{elements})->{name});
	$inner = join '.', @path;
	$inner .= '[]' if $part->{elements};
	$inner .= "|$part->{filter}" if $part->{filter};
	return "{$inner}";
}

sub template_name
{
	my ($name) = @_;

	return $name =~ /^[a-z_0-9]+$/ ? $name : "\"$name\"";
}

# A column of a jsonb row as inval writes it.
sub in_sql
{
	my ($row, $column) = @_;
	my $value = "($row ->> " . quote($column->{name}) . ')';

	return "replace($value, '+00:00', 'Z')" if $column->{type} eq 'timestamptz';
	return "rtrim($value)" if $column->{type} eq 'char';
	return $value;
}

sub filtered
{
	my ($value, $filter) = @_;

	return $value unless $filter;
	return "$filter($value)" if $filter !~ /sha256:(\d+)/;
	return "left(encode(sha256(convert_to($value, 'UTF8')), 'hex'), $1)";
}

# The keys of row r in the states lo to hi.
sub key_query
{
	my ($rule) = @_;
	my @from = '(SELECT 1) AS one';
	my @where;
	my @texts = map {
		my $parts = $_;
		[ map { part_in_sql($_, \@from, \@where) } @$parts ]
	} grep { $_ } $rule->{parts}, $rule->{field};
	my $prefix = $rule->{short} ? $rule->{relation} : $rule->{prefix};
	my $key = "'$prefix:' || " . join(" || ':' || ", @{ $texts[0] });

	$key .= " || ' field ' || " . join(" || ':' || ", @{ $texts[1] }) if $texts[1];
	return "SELECT * FROM (SELECT $key AS k FROM " . join(', ', @from)
	  . (@where ? ' WHERE ' . join(' AND ', @where) : '')
	  . ') AS keys WHERE k IS NOT NULL';
}

sub part_in_sql
{
	my ($part, $from, $where) = @_;
	my $row = 'r';
	my $alias = 'x' . @$from;

	if ($part->{variable})
	{
		push @$from, 'unnest(ARRAY[' . join(', ', map { quote($_) } @variable) . "]) AS $alias (v)";
		return "$alias.v";
	}
	foreach my $fk (@{ $part->{steps} || [] })
	{
		my $parent = 'p' . @$from;

		push @$from, "oracle.rows('$fk->{parent}{name}', lo, hi) AS $parent";
		foreach my $i (0 .. $#{ $fk->{columns} })
		{
			push @$where,
			  "$parent ->> '$fk->{parent}{key}[$i]' = $row ->> '$fk->{columns}[$i]'";
		}
		$row = $parent;
	}
	if ($part->{elements})
	{
		my $array = "$row -> " . quote($part->{elements}{name});

		push @$from, "jsonb_array_elements_text(CASE jsonb_typeof($array)"
		  . " WHEN 'array' THEN $array ELSE '[]' END) AS $alias (v)";
		return filtered("$alias.v", $part->{filter});
	}
	return filtered(in_sql($row, $part->{column}), $part->{filter});
}

sub track_command
{
	my ($rule) = @_;
	my @arguments = "'app.$rule->{relation}'";
	my @relevant;

	if ($rule->{short})
	{
		push @arguments,
		  quote(join ', ', map { template_name($_->{column}{name}) } @{ $rule->{parts} });
	}
	else
	{
		push @arguments, 'key => '
		  . quote("$rule->{prefix}:" . join(':', map { in_template($_) } @{ $rule->{parts} }));
	}
	push @arguments,
	  'field => ' . quote(join(':', map { in_template($_) } @{ $rule->{field} }))
	  if $rule->{field};
	push @arguments, 'via => ' . quote($rule->{via}) if $rule->{via};
	push @arguments, "delivery => 'background'" if $rule->{background};
	push @arguments, 'changes => ' . names($rule->{changes}) if $rule->{changes};
	if ($rule->{changes})
	{
		my %seen;

		@relevant = grep { !$seen{ $_->{name} }++ }
		  @{ $rule->{changes} }, map { $_->{column} || () } @{ $rule->{parts} };
	}
	return 'INSERT INTO oracle.rule SELECT '
	  . join(', ', $rule->{number}, 'inval_track(' . join(', ', @arguments) . ')',
		"'$rule->{relation}'", @relevant ? names(\@relevant) : 'NULL',
		$rule->{changes} ? names($rule->{changes}) : 'NULL',
		$rule->{family},
		$rule->{follows} ? 'true' : 'false');
}

sub names
{
	my ($columns) = @_;

	return 'ARRAY[' . join(', ', map { quote($_->{name}) } @$columns) . ']';
}

1;
