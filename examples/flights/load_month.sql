-- Replaces one month by what this run staged, in one transaction: NA becomes NULL, 517 becomes 05:17, 2400 is midnight.

create temporary table rules (rule text, broken_by bigint, constraint staged_rows_are_there check (broken_by = 0))
on commit drop;
insert into rules
select 'only the three latest runs keep their staged rows (clear extract too)', (count(*) = 0)::integer
from staged_runs where run_id = '{{ run_id }}';

delete from flights where month = {{ month }};

insert into flights (
    time_hour, carrier, flight, tailnum, origin, dest, flight_date, month, sched_dep_time, dep_time, dep_delay,
    arr_delay, air_time, distance
)
select
    time_hour::timestamptz,
    carrier,
    flight::integer,
    nullif(tailnum, 'NA'),
    origin,
    dest,
    make_date(year::integer, month::integer, day::integer),
    month::integer,
    make_time(sched_dep_time::integer / 100 % 24, sched_dep_time::integer % 100, 0),
    make_time(nullif(dep_time, 'NA')::integer / 100 % 24, nullif(dep_time, 'NA')::integer % 100, 0),
    nullif(dep_delay, 'NA')::integer,
    nullif(arr_delay, 'NA')::integer,
    nullif(air_time, 'NA')::integer,
    distance::integer
from staged_flights
where run_id = '{{ run_id }}' and month = '{{ month }}';

select {{ month }} as month, count(*) as row_count from flights where month = {{ month }};
