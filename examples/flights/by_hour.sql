-- Delay by hour of planned departure, local time.

delete from delay_by_hour;

insert into delay_by_hour (hour, flights, cancelled, mean_delay, late_percent)
select
    hour,
    count(*),
    count(*) - count(dep_delay),
    round(avg(dep_delay), 1),
    round(100.0 * count(*) filter (where dep_delay > 15) / nullif(count(dep_delay), 0), 1)
from flight_weather
group by hour;

select hour, flights, cancelled, mean_delay, late_percent from delay_by_hour order by hour;
