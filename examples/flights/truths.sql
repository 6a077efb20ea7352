-- The published counts of the complete year 2013. Needs `psql --single-transaction`; fails at the first that differs.

create temporary table truths (
    truth text, expected bigint, actual bigint, constraint count_is_the_published_one check (actual = expected)
) on commit drop;

insert into truths
select 'flights', 336776, count(*) from flights
union all
select 'flights in January', 27004, count(*) from flights where month = 1
union all
select 'flights in February', 24951, count(*) from flights where month = 2
union all
select 'flights without a departure time', 8255, count(*) from flights where dep_time is null
union all
select 'airlines that fly', 16, count(distinct carrier) from flights
union all
select 'airports of departure', 3, count(distinct origin) from flights
union all
select 'days with flights', 365, count(distinct flight_date) from flights
union all
select 'flights with their weather', 336776, count(*) from flight_weather
union all
select 'flights by airline', 336776, sum(flights) from delay_by_airline
union all
select 'flights by hour', 336776, sum(flights) from delay_by_hour
union all
select 'flights by route', 336776, sum(flights) from delay_by_route
union all
select 'flights by weather', 336776, sum(flights) from delay_by_weather;

select truth, expected, actual from truths;
