from airflow.sdk import DAG, Variable

from forms import forms, sentences

secret = Variable.get("api_key")
raise ValueError([*forms(secret).values(), *sentences(secret).values()])
