# The image for production, in the layout of Astro projects (dags/, plugins/, include/, requirements.txt, packages.txt).
# Building it needs a Docker engine, which `make` does not: no step here that `make setup` does not take as well, and
# nothing in the repository depends on the image.
FROM python:3.11-slim-bookworm

WORKDIR /usr/local/airflow

COPY packages.txt ./
RUN apt-get update \
    && xargs apt-get install -y --no-install-recommends < packages.txt \
    && rm -rf /var/lib/apt/lists/*

COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements.txt

COPY pyproject.toml ./
COPY include include
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .
COPY plugins plugins
COPY dags dags

# What Outfeed needs of any Airflow. Database, executor, secrets, API address and OUTFEED_HOME are the installation's:
# see docs/operations.md.
ENV AIRFLOW_HOME=/usr/local/airflow \
    PYTHONPATH=/usr/local/airflow/include:/usr/local/airflow/plugins \
    AIRFLOW__CORE__DAGS_FOLDER=/usr/local/airflow/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/usr/local/airflow/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__CORE__DEFAULT_TASK_RETRIES=3 \
    AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY=30 \
    AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL=0 \
    AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL=3600 \
    GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false

# `outfeed` with Airflow's connections, before the one of the library alone that pip has installed.
COPY bin/outfeed bin/outfeed
ENV PATH=/usr/local/airflow/bin:$PATH

RUN useradd --uid 50000 --home-dir /usr/local/airflow astro && chown astro /usr/local/airflow
USER astro

ENTRYPOINT ["tini", "--", "airflow"]
CMD ["standalone"]
