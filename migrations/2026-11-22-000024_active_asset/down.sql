DROP VIEW dag_warning;
DROP VIEW active_asset;
DROP INDEX asset_uri;
DROP VIEW named_asset;
