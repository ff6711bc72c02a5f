create table vg(id int primary key, k text, ts timestamptz, arr int[], b bytea, n numeric)
select inval_track('vg', key=>'vg:{k|md5}:{ts}:{arr}:{b}:{n|sha256:9}:{@table}')
select inval_track('vg','id', field=>'{k|url}', delivery=>'background')
insert into vg select g, 'kéy '||g, now(), array[g,2], '\x0102', g*1.5 from generate_series(1,300) g
update vg set k = k||'x' where id < 100
do $$ begin for i in 1..50 loop begin insert into vg values (1000+i,'ex'||i,now(),null,null,1); if i%2=0 then raise 'x'; end if; exception when others then null; end; end loop; end $$
set inval.pending_memory='64kB'
insert into vg select g, repeat('long',500)||g, now(), array[g,2], '\x0102', g*1.5 from generate_series(2001,2600) g
truncate vg
select inval_touch(repeat('k',50000))
select count(*) from inval_queue
select inval_drain('2s')
select count(*) from inval_queue
select * from inval_stats
select * from inval_target_status
select inval_track('vg', key=>'{nope}')
do $$ begin if (select sum(delivered_at_commit) from inval_stats) > 0 then raise warning 'memory test: done'; end if; end $$
select inval_untrack('vg')
drop table vg
