-- One row for each flight with the weather at its airport in the hour of departure, where that is known.

truncate flight_weather;

insert into flight_weather (carrier, origin, dest, hour, dep_delay, distance, temp, wind_speed, precip, visib)
select
    flights.carrier,
    flights.origin,
    flights.dest,
    extract(hour from flights.sched_dep_time)::integer,
    flights.dep_delay,
    flights.distance,
    weather.temp,
    weather.wind_speed,
    weather.precip,
    weather.visib
from flights
left join weather on weather.origin = flights.origin and weather.time_hour = flights.time_hour;

select count(*) as flights, count(visib) as with_weather from flight_weather;
