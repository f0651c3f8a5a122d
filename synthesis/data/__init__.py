"""CT volumes, their radiographs, and the variations that make many patients of one."""
