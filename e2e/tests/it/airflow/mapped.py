from airflow.example_dags.plugins.custom_partition_mapper import PrefixStripMapper
from airflow.sdk import DAG, Asset, PartitionedAssetTimetable

ORDERS = Asset("orders")
with DAG("stripped", schedule=PartitionedAssetTimetable(assets=ORDERS, default_partition_mapper=PrefixStripMapper("eu"))):
    pass
