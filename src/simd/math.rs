//! Elementary functions over vectors (see the functions).
