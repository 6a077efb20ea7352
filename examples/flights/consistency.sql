-- What must hold for any source: a count that is not the expected one fails the task and is named in the error.

create temporary table findings (
    rule text, expected bigint, actual bigint, constraint count_is_as_expected check (actual = expected)
) on commit drop;

insert into findings
select
    'every staged flight is loaded',
    (select count(*) from staged_flights where run_id = '{{ run_id }}'),
    (select count(*) from flights)
union all
select
    'flights without a departure time stay so',
    (select count(*) from staged_flights where run_id = '{{ run_id }}' and dep_time = 'NA'),
    (select count(*) from flights where dep_time is null)
union all
select 'every flight has a known airline', 0, count(*)
from flights where carrier not in (select carrier from airlines)
union all
select 'every flight leaves from a known airport', 0, count(*)
from flights where origin not in (select faa from airports);

select rule, expected, actual from findings;
