//! What can go wrong, as a status code and a sentence.
//!
//! A message names the operator, the argument and both sides of the mismatch:
//! `conv2d: weight has 64 input channels per group, input has 128 / groups 1`.

use std::borrow::Cow;
use std::fmt;

/// The kind of a failure. The numbers are those of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// An argument is outside of its domain.
    InvalidArgument = 1,
    /// The shapes of two arguments do not go together.
    ShapeMismatch = 2,
    /// A legal request that this build or CPU cannot serve.
    Unsupported = 3,
    /// An output has less room than the result needs.
    BufferTooSmall = 4,
    /// Memory could not be had.
    OutOfMemory = 5,
    /// A defect of omma.
    Internal = 6,
}

/// A failure: its kind and a message for people.
#[derive(Clone, Debug)]
pub struct Error {
    status: Status,
    message: Cow<'static, str>,
}

/// The result of everything that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure of kind `status`.
    pub fn new(status: Status, message: impl Into<Cow<'static, str>>) -> Error {
        Error {
            status,
            message: message.into(),
        }
    }

    /// The kind.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// `bail!(ShapeMismatch, "conv2d: …", …)` returns that error.
macro_rules! bail {
    ($status:ident, $($message:tt)+) => {
        return Err($crate::error::Error::new($crate::error::Status::$status, format!($($message)+)))
    };
}
pub(crate) use bail;

/// `ensure!(condition, ShapeMismatch, "conv2d: …", …)` returns that error unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $status:ident, $($message:tt)+) => {
        match $condition {
            true => (),
            false => $crate::error::bail!($status, $($message)+),
        }
    };
}
pub(crate) use ensure;
