//! ONNX's own test cases, on every tier. `fixtures/nn_onnx.py` writes the fixture and
//! says what it leaves out; its format is told there.

mod common;

use common::{context, isas};
use omma::nn::{self, AverageOver, Pool2d};
use omma::runtime::Context;
use omma::tensor::{View, ViewMut};
use std::collections::HashMap;

struct Array {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Array {
    fn view(&self) -> View<'_, f32> {
        View::new(&self.data, &self.shape).unwrap()
    }
}

struct Case {
    name: String,
    words: HashMap<String, String>,
    arrays: HashMap<String, Array>,
}

impl Case {
    fn word(&self, key: &str) -> Option<&str> {
        self.words.get(key).map(String::as_str)
    }
    fn numbers<const N: usize>(&self, key: &str) -> [usize; N] {
        let all: Vec<usize> = self.words[key]
            .split(',')
            .map(|v| v.parse().unwrap())
            .collect();
        all.try_into().unwrap()
    }
    fn float(&self, key: &str, default: f32) -> f32 {
        self.word(key).map_or(default, |v| v.parse().unwrap())
    }
    fn axis(&self) -> isize {
        self.word("axis").map_or(-1, |v| v.parse().unwrap())
    }
}

fn fixture() -> Vec<Case> {
    let file = include_bytes!("fixtures/nn_onnx.bin");
    let end = file.windows(2).position(|two| two == b"\n\n").unwrap();
    let mut data = file[end + 2..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    let mut cases = Vec::new();
    for line in std::str::from_utf8(&file[..end]).unwrap().lines() {
        if line.starts_with('#') {
            continue;
        }
        let mut words = line.split(' ');
        let mut case = Case {
            name: words.next().unwrap().to_string(),
            words: HashMap::new(),
            arrays: HashMap::new(),
        };
        for word in words {
            let (key, value) = word.split_once('=').unwrap();
            if ["x", "slope", "y", "indices"].contains(&key) {
                let shape: Vec<usize> = value.split('x').map(|v| v.parse().unwrap()).collect();
                let len = shape.iter().product();
                let data: Vec<f32> = data.by_ref().take(len).collect();
                assert_eq!(data.len(), len);
                case.arrays.insert(key.to_string(), Array { shape, data });
            } else {
                case.words.insert(key.to_string(), value.to_string());
            }
        }
        cases.push(case);
    }
    assert_eq!(data.next(), None);
    cases
}

fn run(ctx: &Context, case: &Case) -> (Vec<f32>, Option<Vec<i64>>) {
    let (x, y) = (&case.arrays["x"], &case.arrays["y"]);
    let mut out = vec![f32::NAN; y.data.len()];
    let mut indices = None;
    let view = ViewMut::new(&mut out, &y.shape).unwrap();
    let x = x.view();
    match case.words["op"].as_str() {
        "Relu" => nn::relu(ctx, x, view),
        "Sigmoid" => nn::sigmoid(ctx, x, view),
        "Tanh" => nn::tanh(ctx, x, view),
        "Swish" => nn::silu(ctx, x, view),
        "HardSwish" => nn::hardswish(ctx, x, view),
        "Gelu" if case.word("approximate") == Some("tanh") => nn::gelu_tanh(ctx, x, view),
        "Gelu" => nn::gelu(ctx, x, view),
        "LeakyRelu" => nn::leaky_relu(ctx, case.float("alpha", 0.01), x, view),
        "PRelu" => nn::prelu(ctx, -1, x, case.arrays["slope"].view(), view),
        "Softmax" => nn::softmax(ctx, case.axis(), x, view),
        "LogSoftmax" => nn::log_softmax(ctx, case.axis(), x, view),
        op => {
            let pool = Pool2d {
                stride: Some(case.numbers("stride")),
                padding: case.numbers("padding"),
                dilation: case.numbers("dilation"),
                ceil_mode: case.words["ceil"] == "1",
                ..Pool2d::new(case.numbers("kernel"))
            };
            match op {
                "MaxPool" => {
                    let mut at = vec![-7; y.data.len()];
                    let result = nn::max_pool2d(
                        ctx,
                        &pool,
                        x,
                        view,
                        Some(ViewMut::new(&mut at, &y.shape).unwrap()),
                    );
                    indices = Some(at);
                    result
                }
                "AveragePool" => {
                    let over = match case.words["include"].as_str() {
                        "1" => AverageOver::Padded,
                        _ => AverageOver::Input,
                    };
                    nn::avg_pool2d(ctx, &pool, over, x, view)
                }
                _ => panic!("{op}"),
            }
        }
    }
    .unwrap_or_else(|e| panic!("{}: {e}", case.name));
    (out, indices)
}

#[test]
fn every_case() {
    let cases = fixture();
    assert_eq!(cases.len(), 56);
    for isa in isas() {
        let ctx = context(isa, 1);
        for case in &cases {
            let (got, indices) = run(&ctx, case);
            for (i, (got, expected)) in got.iter().zip(&case.arrays["y"].data).enumerate() {
                let error = (got - expected).abs();
                // ONNX wrote the result of this case down with four digits.
                let given = match case.name.as_str() {
                    "averagepool_2d_ceil_last_window_starts_on_pad" => 5e-5,
                    _ => 0.0,
                };
                assert!(
                    error <= 1e-6 * expected.abs() + 3e-7 + given,
                    "{} on {isa:?}: element {i} is {got}, expected {expected}",
                    case.name
                );
            }
            if let Some(expected) = case.arrays.get("indices") {
                let expected: Vec<i64> = expected.data.iter().map(|&v| v as i64).collect();
                assert_eq!(indices.unwrap(), expected, "{}", case.name);
            }
        }
    }
}
