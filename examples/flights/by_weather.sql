-- Delay by the worst thing the weather did in the hour of departure.

delete from delay_by_weather;

insert into delay_by_weather (weather, flights, cancelled, mean_delay, late_percent)
select
    case
        when visib is null then 'not recorded'
        when visib < 3 then 'visibility under 3 miles'
        when precip > 0 then 'rain or snow'
        when wind_speed > 20 then 'wind over 20 mph'
        else 'fair'
    end,
    count(*),
    count(*) - count(dep_delay),
    round(avg(dep_delay), 1),
    round(100.0 * count(*) filter (where dep_delay > 15) / nullif(count(dep_delay), 0), 1)
from flight_weather
group by 1;

select weather, flights, cancelled, mean_delay, late_percent from delay_by_weather order by mean_delay desc nulls last;
