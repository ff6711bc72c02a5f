=pod

=head1 NAME

Inval::Catalog - all that the catalogs say of the extension's objects, as text

=head1 DESCRIPTION

Two databases whose objects came by different ways, by an update and by the script of the
newer version, must not differ in anything that somebody could notice.

=cut

package Inval::Catalog;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(
  catalog_text
  catalog_differences
);

=pod

=head2 catalog_text($node, $db)

A line for each object, column, trigger and setting, without what numbers differ by: OIDs,
and columns that were dropped.

=head2 catalog_differences($text, $other)

Lines that only one of two such texts has; empty if they are the same.

=cut

sub catalog_differences
{
	my ($text, $other) = @_;
	my %times;

	$times{$_}++ foreach split /\n/, $text;
	$times{$_}-- foreach split /\n/, $other;
	return join "\n", map { ($times{$_} > 0 ? '+ ' : '- ') . $_ } sort grep { $times{$_} } keys %times;
}

sub catalog_text
{
	my ($node, $db) = @_;

	return $node->safe_psql($db, <<'END');
SET search_path = pg_catalog;
CREATE TEMPORARY TABLE member AS
	SELECT d.classid, d.objid, d.deptype,
		(pg_identify_object(d.classid, d.objid, 0)).type || ' ' ||
		(pg_identify_object(d.classid, d.objid, 0)).identity AS name
	FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
	WHERE d.refclassid = 'pg_extension'::regclass AND e.extname = 'inval' AND d.deptype = 'e';

SELECT line FROM (
	SELECT name || ': ' || coalesce(obj_description(objid, classid::regclass::name), 'NO COMMENT') AS line FROM member
	UNION ALL SELECT name || ': rights at first ' || i.initprivs::text
	FROM member m JOIN pg_init_privs i ON (i.classoid, i.objoid, i.objsubid) = (m.classid, m.objid, 0)
	UNION ALL SELECT name || E':\n' || pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '')
	FROM member m JOIN pg_proc p ON p.oid = m.objid WHERE m.classid = 'pg_proc'::regclass AND p.prokind <> 'a'
	UNION ALL SELECT concat_ws(' ', name, c.relkind, c.relpersistence, c.relacl::text, c.reloptions::text, c.relowner::regrole,
		c.relrowsecurity, pg_get_viewdef(c.oid, true))
	FROM member m JOIN pg_class c ON c.oid = m.objid WHERE m.classid = 'pg_class'::regclass
	UNION ALL SELECT concat_ws(' ', name, row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname,
		format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstorage, a.attacl::text, col_description(c.oid, a.attnum),
		pg_get_expr(f.adbin, f.adrelid))
	FROM member m JOIN pg_class c ON c.oid = m.objid JOIN pg_attribute a ON a.attrelid = c.oid
	LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
	WHERE m.classid = 'pg_class'::regclass AND a.attnum > 0 AND NOT a.attisdropped
	UNION ALL SELECT concat_ws(' ', name, pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid, 'pg_trigger'))
	FROM member m JOIN pg_trigger t ON t.tgrelid = m.objid WHERE m.classid = 'pg_class'::regclass AND NOT t.tgisinternal
	UNION ALL SELECT concat_ws(' ', name, pg_get_indexdef(i.indexrelid))
	FROM member m JOIN pg_index i ON i.indrelid = m.objid WHERE m.classid = 'pg_class'::regclass
	UNION ALL SELECT concat_ws(' ', name, pg_get_constraintdef(c.oid))
	FROM member m JOIN pg_constraint c ON c.conrelid = m.objid WHERE m.classid = 'pg_class'::regclass
	UNION ALL SELECT concat_ws(' ', name, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqcycle)
	FROM member m JOIN pg_sequence s ON s.seqrelid = m.objid WHERE m.classid = 'pg_class'::regclass
	UNION ALL SELECT concat_ws(' ', name, t.typinput, t.typoutput, t.typlen, t.typstorage, t.typacl::text)
	FROM member m JOIN pg_type t ON t.oid = m.objid WHERE m.classid = 'pg_type'::regclass
	UNION ALL SELECT concat_ws(' ', name, t.evtevent, t.evtfoid::regprocedure, t.evtenabled, t.evttags::text)
	FROM member m JOIN pg_event_trigger t ON t.oid = m.objid WHERE m.classid = 'pg_event_trigger'::regclass
	UNION ALL SELECT concat_ws(' ', name, w.fdwhandler::regproc, w.fdwvalidator::regproc, w.fdwoptions::text, w.fdwacl::text)
	FROM member m JOIN pg_foreign_data_wrapper w ON w.oid = m.objid WHERE m.classid = 'pg_foreign_data_wrapper'::regclass
	UNION ALL SELECT concat_ws(' ', name, s.srvoptions::text, s.srvacl::text)
	FROM member m JOIN pg_foreign_server s ON s.oid = m.objid WHERE m.classid = 'pg_foreign_server'::regclass
	UNION ALL SELECT concat_ws(' ', 'dumped', c.oid::regclass, condition)
	FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS x(relation, condition) JOIN pg_class c ON c.oid = x.relation
	WHERE e.extname = 'inval'
	UNION ALL SELECT concat_ws(' ', 'extension', extversion, extrelocatable) FROM pg_extension WHERE extname = 'inval'
) lines ORDER BY line;
DROP TABLE member;
END
}

1;
