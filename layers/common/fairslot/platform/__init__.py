"""What every part stands on: settings, the database, the cache, queues, logs, guarded HTTP."""
