"""Stories: what happens to one customer in the running Airflow. They are told at the same time; tests look at
what each of them saw.
"""
