#!/usr/bin/env bash
# Unzips flights.csv.zip of the source folder and copies its rows into the warehouse under the id of this run.
# Its last line of output, the number of rows, is the result of the task.
set -euo pipefail

expected=year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum
expected+=,origin,dest,air_time,distance,hour,minute,time_hour

source=$TRADEWIND_PARAM_SOURCE
if [ ! -f "$source/flights.csv.zip" ]; then
  echo "There is no flights.csv.zip in $(realpath -m "$source"): set the param 'source' to the folder that holds it." >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Python's own module, because not every machine has the unzip program.
python3 -m zipfile -e "$source/flights.csv.zip" "$work"

header=$(head -n 1 "$work/flights.csv" | tr -d '\r"')
if [ "$header" != "$expected" ]; then
  printf 'flights.csv does not begin with the expected header.\n  expected %s\n  found    %s\n' "$expected" "$header" >&2
  exit 1
fi

echo "Unzipped $(wc -c <"$work/flights.csv") bytes; copying."
psql "$WAREHOUSE" --no-psqlrc --quiet --tuples-only --no-align \
  --set ON_ERROR_STOP=1 --set run_id="$TRADEWIND_RUN_ID" --set source="$source" \
  --file stage.psql <"$work/flights.csv"
