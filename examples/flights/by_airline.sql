-- Delay by airline. Late means more than 15 minutes; a cancelled flight has no delay.

delete from delay_by_airline;

insert into delay_by_airline (carrier, name, flights, cancelled, mean_delay, late_percent)
select
    carrier,
    name,
    count(*),
    count(*) - count(dep_delay),
    round(avg(dep_delay), 1),
    round(100.0 * count(*) filter (where dep_delay > 15) / nullif(count(dep_delay), 0), 1)
from flight_weather
join airlines using (carrier)
group by carrier, name;

select name, flights, cancelled, mean_delay, late_percent from delay_by_airline order by mean_delay desc nulls last, name;
