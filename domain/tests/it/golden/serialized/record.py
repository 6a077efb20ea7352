"""Records what Airflow makes of `features.py`: its serialized DAGs, as they come from its parser.

    pip install apache-airflow-core==3.3.2 apache-airflow-providers-standard
    python record.py
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = "/dags"
os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = "sqlite:////nonexistent/none.db"

from airflow.dag_processing.dagbag import BundleDagBag  # noqa: E402
from airflow.serialization.serialized_objects import DagSerialization  # noqa: E402

here = Path(__file__).parent
bag = BundleDagBag(dag_folder=str(here / "features.py"), bundle_path=here, bundle_name="dags", load_op_links=False)
if bag.import_errors:
    sys.exit("\n".join(bag.import_errors.values()))
text = json.dumps([DagSerialization.to_dict(dag) for dag in bag.dags.values()], indent=1, sort_keys=True)
(here / "features.json").write_text(text.replace(str(here), "/dags") + "\n")
