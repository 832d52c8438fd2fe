//! The values in `fixtures/roi.txt`: torchvision's, and ONNX's own test cases.

use crate::case::{Form, MEMORIES, Maps, PLAIN, align, align_backward, pool, pool_backward};
use crate::common::{context, isas};
use omma::roi::{RoiAlignMode, RoiAlignParams, RoiPoolParams};
use omma::tensor::Layout;

struct Case {
    head: Vec<String>,
    arrays: Vec<(Vec<usize>, Vec<f64>)>,
}

impl Case {
    fn number(&self, at: usize) -> f64 {
        self.head[at].parse().unwrap()
    }
    fn maps(&self, at: usize) -> Maps {
        let (shape, data) = &self.arrays[at];
        Maps {
            shape: shape[..].try_into().unwrap(),
            data: data.iter().map(|&v| v as f32).collect(),
        }
    }
    fn rois(&self) -> Vec<f32> {
        self.arrays[1].1.iter().map(|&v| v as f32).collect()
    }
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut lines = include_str!("../fixtures/roi.txt").lines();
    while let Some(line) = lines.next() {
        if line.starts_with(char::is_alphabetic) {
            let head = line.split(' ').map(String::from).collect();
            let arrays = Vec::new();
            cases.push(Case { head, arrays });
            continue;
        }
        let (before, last) = {
            let at = cases.len() - 1;
            cases.split_at_mut(at)
        };
        let arrays = &mut last[0].arrays;
        arrays.push(match line {
            "=" => before.last().unwrap().arrays[arrays.len()].clone(),
            shape => (
                shape.split(' ').map(|v| v.parse().unwrap()).collect(),
                lines
                    .next()
                    .unwrap()
                    .split(' ')
                    .map(|v| v.parse().unwrap())
                    .collect(),
            ),
        });
    }
    cases
}

fn close(got: &Maps, expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.data.len(), expected.len());
    for (at, (&got, &expected)) in got.data.iter().zip(expected).enumerate() {
        let difference = f64::from((got - expected as f32).abs());
        assert!(
            difference <= tolerance,
            "{what}: {got} at {at}, expected {expected}"
        );
    }
}

#[test]
fn torchvision_and_onnx_agree() {
    let cases = cases();
    assert_eq!(cases.len(), 3 * (8 + 1) + 3);
    for case in &cases {
        let bins = [case.number(1) as usize, case.number(2) as usize];
        let (x, rois) = (case.maps(0), case.rois());
        for isa in isas() {
            let ctx = context(isa, 1);
            for layout in [Layout::Nchw, Layout::Nhwc] {
                let what = format!("{:?} {layout:?} {:?}", case.head, isa.tier());
                if case.head[0] == "pool" {
                    let p = RoiPoolParams {
                        output_size: bins,
                        spatial_scale: case.number(3),
                        layout,
                    };
                    let (y, argmax) = pool(&ctx, &p, PLAIN, &x, &rois, true).unwrap();
                    let argmax = argmax.unwrap();
                    close(&y, &case.arrays[2].1, 0.0, &what);
                    let indices: Vec<_> = argmax.data.iter().map(|&v| f64::from(v)).collect();
                    assert_eq!(indices, case.arrays[3].1, "{what}");
                    let dx = pool_backward(&ctx, &p, PLAIN, &case.maps(4), &rois, &argmax, x.shape);
                    close(&dx.unwrap(), &case.arrays[5].1, 1e-5, &what);
                    continue;
                }
                let p = RoiAlignParams {
                    output_size: bins,
                    spatial_scale: case.number(3),
                    sampling_ratio: case.number(4) as i32,
                    aligned: case.head[5] == "1",
                    mode: match case.head[6].as_str() {
                        "avg" => RoiAlignMode::Average,
                        _ => RoiAlignMode::MaxCorner,
                    },
                    layout,
                };
                for input in MEMORIES {
                    let form = Form {
                        input,
                        split: input != MEMORIES[0],
                        ..PLAIN
                    };
                    let y = align(&ctx, &p, form, &x, &rois).unwrap();
                    // ONNX tells its values to four digits.
                    let tolerance = if case.head[0] == "align" { 2e-6 } else { 1e-4 };
                    close(&y, &case.arrays[2].1, tolerance, &what);
                }
                if case.arrays.len() > 3 {
                    let dx = align_backward(&ctx, &p, PLAIN, &case.maps(3), &rois, &x).unwrap();
                    close(&dx, &case.arrays[4].1, 1e-5, &what);
                }
            }
        }
    }
}
