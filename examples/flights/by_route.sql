-- Delay by route. A few destinations are missing from the airports and keep their code for a name.

delete from delay_by_route;

insert into delay_by_route (origin, dest, dest_name, flights, cancelled, mean_delay, late_percent)
select
    origin,
    dest,
    coalesce(name, dest),
    count(*),
    count(*) - count(dep_delay),
    round(avg(dep_delay), 1),
    round(100.0 * count(*) filter (where dep_delay > 15) / nullif(count(dep_delay), 0), 1)
from flight_weather
left join airports on airports.faa = flight_weather.dest
group by origin, dest, name;

-- The report shows the busiest; the table holds them all.
select origin, dest, dest_name, flights, cancelled, mean_delay, late_percent
from delay_by_route order by flights desc, origin, dest limit 20;
