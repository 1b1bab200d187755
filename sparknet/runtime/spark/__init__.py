"""The backend on Spark, its session and what its Python workers do."""
