create table vg(id int primary key, k text, ts timestamptz, arr int[], b bytea, n numeric)
select inval_track('vg', key=>'vg:{k|md5}:{ts}:{arr}:{b}:{n|sha256:9}:{@table}')
select inval_track('vg','id', field=>'{k|url}', delivery=>'background')
insert into vg select g, 'kéy '||g, now(), array[g,2], '\x0102', g*1.5 from generate_series(1,300) g
update vg set k = k||'x' where id < 100
do $$ begin for i in 1..50 loop begin insert into vg values (1000+i,'ex'||i,now(),null,null,1); if i%2=0 then raise 'x'; end if; exception when others then null; end; end loop; end $$
set inval.pending_memory='64kB'
insert into vg select g, repeat('long',500)||g, now(), array[g,2], '\x0102', g*1.5 from generate_series(2001,2600) g
truncate vg
create table vp(id int primary key, team int, name text)
create table vc(id int primary key, p int references vp on delete cascade deferrable initially deferred, tags text[])
select inval_set_var('v', 'one', 'two')
select inval_track('vc', key=>'c:{p.team}:{tags[]}:{$v}')
select inval_track('vp', key=>'v:{id|md5}', via=>'SELECT id FROM vc WHERE p = {id}')
begin
insert into vc select g, g%20, array['a','b',g::text] from generate_series(1,500) g
savepoint a
insert into vc select g, g%20, null from generate_series(501,600) g
rollback to a
insert into vp select g, g, 'n'||g from generate_series(0,19) g
commit
update vp set team = team+1
delete from vp where id < 5
truncate vp, vc
select inval_untrack('vc')
select count(*) from inval_coverage('team')
select inval_touch(repeat('k',50000))
create table vt(id int primary key, n int)
select inval_add_target('second', current_setting('inval.redis_url'), max_rate => 2000, namespace => 's:')
select inval_track('vt', key=>'s:{id}', targets=>'{default,second}', repeat_after=>'1 second')
insert into vt select generate_series(1,300), 0
update vt set n = 1
select inval_add_target('nodes', 'redis+cluster://localhost:1,127.0.0.1:1', namespace=>'g:')
select inval_add_target('master', 'redis+sentinel://127.0.0.1:1/keys')
select inval_add_target('secure', 'rediss://localhost:1')
select inval_track('vt', key=>'g:{id}', targets=>'{nodes}')
update vt set n = 2 where id < 20
select inval_touch('m', target=>'master')
select inval_touch('s', target=>'secure')
select count(*) from inval_queue
select inval_drain('2s')
select count(*) from inval_queue
select * from inval_stats
select * from inval_target_status
select inval_track('vg', key=>'{nope}')
do $$ begin if (select sum(delivered_at_commit) from inval_stats) > 0 then raise warning 'memory test: done'; end if; end $$
select inval_untrack('vg')
select inval_untrack('vt')
select inval_drop_target(target) from inval_target_status where target <> 'default'
drop table vg
select inval_untrack('vp')
