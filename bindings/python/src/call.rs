//! One call of the library: its context, its arguments in Python's terms, its errors.
//!
//! Everything about arrays is judged by the C ABI, so that Python has the very checks and words of
//! C. What is judged here are the values that a params struct cannot hold: names in place of
//! enumerations, one number for two, and the zeros that mean a default in C and are wrong in Python.

use crate::context::{Context, Handle};
use crate::tensor::{DType, Tensor};
use omma::capi::{self, OMMA_INVALID_ARGUMENT, OMMA_OK, OmmaContext, OmmaStatus};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use std::ffi::CStr;
use std::sync::Arc;

/// A call of an operator.
pub(crate) struct Call<'py> {
    pub(crate) py: Python<'py>,
    /// The operator, as messages name it.
    op: &'static str,
    ctx: Option<Arc<Handle>>,
}

impl<'py> Call<'py> {
    /// A call with the caller's context, or with that of the process.
    pub(crate) fn new(
        py: Python<'py>,
        op: &'static str,
        ctx: Option<&Bound<'py, Context>>,
    ) -> PyResult<Call<'py>> {
        let mut call = Call::without_context(py, op);
        call.ctx = Some(match ctx {
            Some(ctx) => ctx.get().handle(&call)?,
            None => Handle::of_process(&call)?,
        });
        Ok(call)
    }

    /// A call of something that computes nothing.
    pub(crate) fn without_context(py: Python<'py>, op: &'static str) -> Call<'py> {
        Call { py, op, ctx: None }
    }

    /// An argument of float32 that is read.
    pub(crate) fn input(&self, name: &str, object: &Bound<'py, PyAny>) -> PyResult<Tensor<'py>> {
        Tensor::input(self, name, object, Some(DType::F32))
    }

    /// An argument that is read unless it is `None`.
    pub(crate) fn optional(
        &self,
        name: &str,
        object: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Tensor<'py>>> {
        object.map(|object| self.input(name, object)).transpose()
    }

    /// The caller's `out`, or a new array.
    pub(crate) fn output(
        &self,
        out: Option<&Bound<'py, PyAny>>,
        shape: &[i64],
        dtype: DType,
    ) -> PyResult<Tensor<'py>> {
        match out {
            Some(out) => Tensor::output(self, "out", out),
            None => Tensor::empty(self, shape, dtype),
        }
    }

    /// Runs a function of the C ABI while other threads of Python go on.
    ///
    /// `function` touches no Python object: it reads descriptors and numbers.
    pub(crate) fn run(
        &self,
        function: impl FnOnce(*const OmmaContext) -> OmmaStatus,
    ) -> PyResult<()> {
        self.run_with(function, |_| true)
    }

    /// As [`run`](Call::run); `report` says whether a failure is one.
    pub(crate) fn run_with(
        &self,
        function: impl FnOnce(*const OmmaContext) -> OmmaStatus,
        report: impl FnOnce(OmmaStatus) -> bool,
    ) -> PyResult<()> {
        struct Detached<F>(F);
        // SAFETY: the closure runs on this very thread; that it touches no Python object, which
        // is what the bound stands for, is the promise of `run`.
        unsafe impl<F> Send for Detached<F> {}
        impl<F: FnOnce() -> OmmaStatus> Detached<F> {
            fn call(self) -> OmmaStatus {
                (self.0)()
            }
        }
        let ctx = self
            .ctx
            .as_ref()
            .map_or(std::ptr::null(), |ctx| ctx.pointer());
        let job = Detached(|| function(ctx));
        let status = self.py.detach(move || job.call());
        match status == OMMA_OK || !report(status) {
            true => Ok(()),
            false => Err(self.last_error(status)),
        }
    }

    /// Calls a function of the C ABI that is done at once.
    pub(crate) fn check(&self, status: OmmaStatus) -> PyResult<()> {
        match status {
            OMMA_OK => Ok(()),
            status => Err(self.last_error(status)),
        }
    }

    /// What the C ABI says about this thread's last failure.
    fn last_error(&self, status: OmmaStatus) -> PyErr {
        // SAFETY: never NULL, valid until the thread's next failure.
        let words = unsafe { CStr::from_ptr(capi::omma_last_error()) };
        let words = in_python(&words.to_string_lossy());
        omma_error(self.py, status, words)
    }

    /// An error of this call; `words` begin with the argument.
    pub(crate) fn error(&self, status: OmmaStatus, words: &str) -> PyErr {
        omma_error(self.py, status, format!("{}: {words}", self.op))
    }

    /// The number of a name.
    pub(crate) fn choice(&self, name: &str, value: &str, names: &[(&str, i32)]) -> PyResult<i32> {
        if let Some(&(_, number)) = names.iter().find(|(known, _)| *known == value) {
            return Ok(number);
        }
        let known: Vec<String> = names
            .iter()
            .map(|(known, _)| format!("'{known}'"))
            .collect();
        let words = format!("{name} is '{value}', expected {}", known.join(", "));
        Err(self.error(OMMA_INVALID_ARGUMENT, &words))
    }

    /// A number that is at least `least` and fits the params struct.
    pub(crate) fn number(&self, name: &str, value: i64, least: i32) -> PyResult<i32> {
        match i32::try_from(value) {
            Ok(value) if value >= least => Ok(value),
            _ => {
                let most = i32::MAX;
                let words = format!("{name} is {value}, expected {least} to {most}");
                Err(self.error(OMMA_INVALID_ARGUMENT, &words))
            }
        }
    }

    /// Vertical and horizontal: one number for both, or two.
    pub(crate) fn pair(&self, name: &str, value: &Sizes<'_>, least: i32) -> PyResult<[i32; 2]> {
        match value.as_slice() {
            [both] => Ok([self.number(name, *both, least)?; 2]),
            [vertical, horizontal] => Ok([
                self.number(name, *vertical, least)?,
                self.number(name, *horizontal, least)?,
            ]),
            _ => Err(self.wrong(name, value, "an integer or two (vertical, horizontal)")),
        }
    }

    /// Top, bottom, left, right: one number for all, two (vertical, horizontal), or four.
    pub(crate) fn sides(&self, name: &str, value: &Sizes<'_>) -> PyResult<[i32; 4]> {
        let least = |&side: &i64| self.number(name, side, 0);
        match value.as_slice() {
            [all] => Ok([least(all)?; 4]),
            [vertical, horizontal] => {
                let (vertical, horizontal) = (least(vertical)?, least(horizontal)?);
                Ok([vertical, vertical, horizontal, horizontal])
            }
            [top, bottom, left, right] => {
                Ok([least(top)?, least(bottom)?, least(left)?, least(right)?])
            }
            _ => Err(self.wrong(
                name,
                value,
                "an integer, two (vertical, horizontal) or four (top, bottom, left, right)",
            )),
        }
    }

    /// Height and width.
    pub(crate) fn size(&self, name: &str, value: &Sizes<'_>, least: i32) -> PyResult<[i64; 2]> {
        match *value.as_slice() {
            [h, w] => Ok([
                self.number(name, h, least)?.into(),
                self.number(name, w, least)?.into(),
            ]),
            _ => Err(self.wrong(name, value, "two integers (height, width)")),
        }
    }

    /// The shape of images.
    pub(crate) fn four(&self, name: &str, value: &Sizes<'_>) -> PyResult<[i64; 4]> {
        let mut four = [0; 4];
        if value.as_slice().len() != 4 {
            return Err(self.wrong(name, value, "four integers"));
        }
        for (to, &size) in four.iter_mut().zip(value.as_slice()) {
            *to = self.number(name, size, 0)?.into();
        }
        Ok(four)
    }

    fn wrong(&self, name: &str, value: &Sizes<'_>, expected: &str) -> PyErr {
        let given = value.given.as_ref().and_then(|given| given.repr().ok());
        let given = given.map_or_else(|| "?".into(), |given| given.to_string());
        let words = format!("{name} is {given}, expected {expected}");
        self.error(OMMA_INVALID_ARGUMENT, &words)
    }
}

/// An integer or a few of them, or whatever else was given.
pub(crate) struct Sizes<'py> {
    values: [i64; 4],
    count: usize,
    /// What was given, for the message that says what is wrong with it.
    given: Option<Bound<'py, PyAny>>,
}

impl<'py> Sizes<'py> {
    /// One number, as a default.
    pub(crate) const fn one(value: i64) -> Sizes<'py> {
        Sizes {
            values: [value, 0, 0, 0],
            count: 1,
            given: None,
        }
    }

    fn as_slice(&self) -> &[i64] {
        &self.values[..self.count]
    }
}

impl<'py> FromPyObject<'_, 'py> for Sizes<'py> {
    type Error = PyErr;

    /// Never fails: the call, which knows the names, judges.
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Sizes<'py>> {
        let mut sizes = Sizes::one(0);
        sizes.given = Some(object.to_owned());
        if let Ok(value) = object.extract::<i64>() {
            sizes.values[0] = value;
            return Ok(sizes);
        }
        sizes.count = 0;
        if let Ok(values) = object.extract::<Vec<i64>>()
            && values.len() <= sizes.values.len()
        {
            sizes.values[..values.len()].copy_from_slice(&values);
            sizes.count = values.len();
        }
        Ok(sizes)
    }
}

/// A message of the C ABI with the names that arguments have in Python.
fn in_python(message: &str) -> String {
    const NAMES: [(&str, &str); 10] = [
        ("input", "x"),
        ("weight", "w"),
        ("weight_1", "w1"),
        ("weight_2", "w2"),
        ("bias_1", "b1"),
        ("bias_2", "b2"),
        ("variance", "var"),
        ("output", "out"),
        ("image", "img"),
        ("context_create", "Context"),
    ];
    let mut words = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let end = match is_name(first) {
            true => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
            false => rest.find(is_name).unwrap_or(rest.len()),
        };
        let (word, behind) = rest.split_at(end);
        let name = NAMES.iter().find(|(name, _)| *name == word);
        // "input channels" are a thing, not an argument.
        words.push_str(match name {
            Some((_, name)) if !behind.starts_with(" channels") => name,
            _ => word,
        });
        rest = behind;
    }
    words
}

/// `omma.OmmaError(status, message)`.
fn omma_error(py: Python<'_>, status: OmmaStatus, message: String) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    match CLASS.import(py, "omma._error", "OmmaError") {
        Ok(class) => PyErr::from_type(class.clone(), (status, message)),
        Err(error) => error,
    }
}
