#!/usr/bin/env bash
# load_table.sh TABLE: replaces the rows of TABLE by those of TABLE.csv in the source folder, in one transaction.
# Its last line of output, the number of rows, is the result of the task.
set -euo pipefail

table=$1
psql "$WAREHOUSE" --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --single-transaction \
  --command "delete from $table" \
  --command "\\copy $table from pstdin with (format csv, header true, null 'NA')" \
  --command "analyze $table" \
  --command "select count(*) from $table" <"$TRADEWIND_PARAM_SOURCE/$table.csv"
