-- The tables of the pipeline. Running it again changes nothing.

-- What the file said, word for word; `run_id` keeps the runs apart. The default saves naming it in every copied row.
create table if not exists staged_flights (
    year text, month text, day text, dep_time text, sched_dep_time text, dep_delay text, arr_time text,
    sched_arr_time text, arr_delay text, carrier text, flight text, tailnum text, origin text, dest text,
    air_time text, distance text, hour text, minute text, time_hour text,
    run_id text not null default current_setting('flights.run_id')
);
create table if not exists staged_runs (
    run_id text primary key,
    source text not null,
    staged_at timestamptz not null default clock_timestamp()
);

create table if not exists airlines (carrier text primary key, name text not null);
create table if not exists airports (
    faa text primary key, name text not null, lat float8, lon float8, alt integer, tz integer, dst text, tzone text
);
create table if not exists planes (
    tailnum text primary key, year integer, type text, manufacturer text, model text, engines integer, seats integer,
    speed integer, engine text
);
create table if not exists weather (
    origin text, year integer, month integer, day integer, hour integer, temp float8, dewp float8, humid float8,
    wind_dir integer, wind_speed float8, wind_gust float8, precip float8, pressure float8, visib float8,
    time_hour timestamptz, primary key (origin, time_hour)
);

-- Times of day are local, delays and air time are minutes, distance is miles. No departure time: it never left.
create table if not exists flights (
    time_hour timestamptz, carrier text, flight integer, tailnum text, origin text not null, dest text not null,
    flight_date date not null, month integer not null check (month between 1 and 12),
    sched_dep_time time not null, dep_time time, dep_delay integer, arr_delay integer, air_time integer,
    distance integer not null check (distance > 0),
    primary key (time_hour, carrier, flight),
    check ((dep_time is null) = (dep_delay is null))
);
create index if not exists flights_by_month on flights (month);

create table if not exists flight_weather (
    carrier text not null, origin text not null, dest text not null, hour integer not null, dep_delay integer,
    distance integer not null, temp float8, wind_speed float8, precip float8, visib float8
);

create table if not exists delay_by_airline (
    carrier text primary key, name text not null, flights bigint, cancelled bigint, mean_delay float8, late_percent float8
);
create table if not exists delay_by_hour (
    hour integer primary key, flights bigint, cancelled bigint, mean_delay float8, late_percent float8
);
create table if not exists delay_by_route (
    origin text, dest text, dest_name text not null, flights bigint, cancelled bigint, mean_delay float8,
    late_percent float8, primary key (origin, dest)
);
create table if not exists delay_by_weather (
    weather text primary key, flights bigint, cancelled bigint, mean_delay float8, late_percent float8
);
