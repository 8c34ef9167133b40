"""A Celery application in the documented pattern: a task tells the clients through a Flask-SocketIO without an app."""

import os

from celery import Celery
from flask_socketio import SocketIO

queue = os.environ["MESSAGE_QUEUE"]
app = Celery("tasks", broker=queue)
# Nothing of a test survives on purpose, and a worker of one test must not hear another's remote control.
app.conf.update(task_ignore_result=True, worker_enable_remote_control=False, broker_connection_retry_on_startup=True)
socketio = SocketIO(message_queue=queue)


@app.task
def report(room: str, steps: int):
    for step in range(1, steps + 1):
        socketio.emit("progress", {"step": step, "of": steps}, to=room, namespace="/custom")
    socketio.emit("done", (room, b"\x00\xff"), to=room, namespace="/custom")
