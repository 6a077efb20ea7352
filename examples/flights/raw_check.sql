-- Is the file what it claims to be? What is found becomes the result; a rule that is broken fails the task.

create temporary table rules (rule text, broken_by bigint, constraint raw_data_keeps_the_rule check (broken_by = 0))
on commit drop;

insert into rules
select 'the staged rows of this run are there (else clear extract too)', (count(*) = 0)::integer
from staged_flights where run_id = '{{ run_id }}'
union all
select 'months are 1 to 12', count(*)
from staged_flights where run_id = '{{ run_id }}' and month !~ '^([1-9]|1[0-2])$'
union all
select 'times of day are hours and minutes', count(*)
from staged_flights
where run_id = '{{ run_id }}' and (sched_dep_time !~ '^\d{1,4}$' or dep_time !~ '^(\d{1,4}|NA)$')
union all
select 'a flight that left has a delay, one that did not has none', count(*)
from staged_flights where run_id = '{{ run_id }}' and (dep_time = 'NA') <> (dep_delay = 'NA');

select
    count(*) as row_count,
    count(distinct month) as months,
    count(*) filter (where dep_time = 'NA') as without_departure,
    count(distinct carrier) as airlines,
    count(distinct origin) as origins
from staged_flights where run_id = '{{ run_id }}';
