//! Errors name the argument and both sides, and leave outputs alone.

use crate::common::{context, isas};
use omma::error::Result;
use omma::roi::*;
use omma::tensor::{Layout, View, ViewMut};

/// What a call is made of.
struct Call {
    x: [usize; 4],
    rois: Vec<f32>,
    width: usize,
    images: Option<Vec<i32>>,
    output: [usize; 4],
    argmax: Option<[usize; 4]>,
    params: RoiAlignParams,
}

fn call() -> Call {
    Call {
        x: [2, 3, 5, 6],
        rois: vec![0.0, 0.0, 0.0, 4.0, 4.0, 1.0, 1.0, 1.0, 3.0, 3.0],
        width: 5,
        images: None,
        output: [2, 3, 2, 2],
        argmax: None,
        params: RoiAlignParams::new([2, 2]),
    }
}

impl Call {
    /// Runs one operator: 0 align, 1 pool, 2 the gradient of align, 3 that of pool.
    fn run(&self, op: usize) -> Result<()> {
        let ctx = context(isas()[0], 1);
        let x = vec![1.0f32; self.x.iter().product()];
        let rois = View::new(&self.rois, &[self.rois.len() / self.width, self.width])?;
        let images = self
            .images
            .as_ref()
            .map(|i| View::new(i, &[i.len()]).unwrap());
        let mut out = vec![-3.0f32; self.output.iter().product()];
        let p = self.params;
        let pooling = RoiPoolParams {
            output_size: p.output_size,
            spatial_scale: p.spatial_scale,
            layout: p.layout,
        };
        let mut at = vec![5i32; self.argmax.unwrap_or(self.output).iter().product()];
        let result = match op {
            0 => roi_align(
                &ctx,
                &p,
                View::new(&x, &self.x)?,
                rois,
                images,
                ViewMut::new(&mut out, &self.output)?,
            ),
            1 => {
                let at = self
                    .argmax
                    .map(|shape| ViewMut::new(&mut at, &shape).unwrap());
                let x = View::new(&x, &self.x)?;
                roi_pool(
                    &ctx,
                    &pooling,
                    x,
                    rois,
                    images,
                    ViewMut::new(&mut out, &self.output)?,
                    at,
                )
            }
            _ => {
                let dy = vec![1.0f32; out.len()];
                let dy = View::new(&dy, &self.output)?;
                let mut dx = vec![-3.0f32; x.len()];
                let to = ViewMut::new(&mut dx, &self.x)?;
                let result = if op == 2 {
                    roi_align_backward(&ctx, &p, dy, rois, images, None, to)
                } else {
                    let at = View::new(&at, &self.argmax.unwrap_or(self.output))?;
                    roi_pool_backward(&ctx, &pooling, dy, rois, images, at, to)
                };
                assert!(result.is_ok() || dx.iter().all(|&v| v == -3.0));
                result
            }
        };
        assert!(result.is_ok() || out.iter().all(|&v| v == -3.0));
        result
    }

    #[track_caller]
    fn fails(&self, ops: &[usize], message: &str) {
        let names = [
            "roi_align",
            "roi_pool",
            "roi_align_backward",
            "roi_pool_backward",
        ];
        for &op in ops {
            let error = self.run(op).expect_err("an error");
            assert_eq!(error.message(), format!("{}: {message}", names[op]));
        }
    }
}

const ALL: [usize; 4] = [0, 1, 2, 3];

#[test]
fn the_call_itself_is_legal() {
    for op in ALL {
        call().run(op).unwrap();
    }
}

#[test]
fn images_that_are_not_there() {
    for (image, shown) in [
        (2.0, "2"),
        (-1.0, "-1"),
        (f32::NAN, "NaN"),
        (f32::INFINITY, "inf"),
        (1e30, "1000000000000000000000000000000"),
    ] {
        let mut bad = call();
        bad.rois[5] = image;
        bad.fails(
            &[0, 1],
            &format!("rois[1] has batch index {shown}, x has 2 images"),
        );
        bad.fails(
            &[2, 3],
            &format!("rois[1] has batch index {shown}, dx has 2 images"),
        );
    }
    let mut fraction = call();
    (fraction.rois[0], fraction.rois[5]) = (-0.9, 1.9);
    fraction.run(0).unwrap();
    let mut bad = call();
    bad.rois = vec![0.0; 8];
    bad.width = 4;
    bad.images = Some(vec![0, 1]);
    bad.run(0).unwrap();
    bad.images = Some(vec![0, 2]);
    bad.fails(&[0, 1], "batch_indices[1] is 2, x has 2 images");
    bad.images = Some(vec![-1, 0]);
    bad.fails(&[2, 3], "batch_indices[0] is -1, dx has 2 images");
    bad.images = Some(vec![0]);
    bad.fails(&ALL, "batch_indices has shape [1], rois has 2 rows");
    bad.images = None;
    bad.fails(
        &ALL,
        "rois has shape [2, 4], expected [K, 5] without batch_indices",
    );
}

#[test]
fn shapes_and_numbers() {
    let mut bad = call();
    bad.output = [2, 3, 2, 3];
    bad.fails(
        &[0, 1],
        "output has shape [2, 3, 2, 3], expected [2, 3, 2, 2]",
    );
    bad.fails(&[2, 3], "dy has shape [2, 3, 2, 3], expected [2, 3, 2, 2]");
    let mut bad = call();
    bad.params.output_size = [0, 2];
    bad.fails(&ALL, "output_size is [0, 2], each is 1 to 16777216");
    for (scale, shown) in [
        (0.0, "0"),
        (-1.0, "-1"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
    ] {
        let mut bad = call();
        bad.params.spatial_scale = scale;
        bad.fails(
            &ALL,
            &format!("spatial_scale is {shown}, expected a positive number"),
        );
    }
    let mut bad = call();
    bad.params.sampling_ratio = 1025;
    bad.fails(&[0, 2], "sampling_ratio is 1025, the most is 1024");
    let mut bad = call();
    bad.params.mode = RoiAlignMode::MaxSample;
    bad.fails(&[2], "x is missing, which mode MaxSample needs");
    let mut bad = call();
    bad.argmax = Some([2, 3, 1, 4]);
    bad.fails(
        &[1],
        "argmax has shape [2, 3, 1, 4], output has [2, 3, 2, 2]",
    );
    bad.fails(&[3], "argmax has shape [2, 3, 1, 4], dy has [2, 3, 2, 2]");
    let mut nhwc = call();
    nhwc.params.layout = Layout::Nhwc;
    nhwc.output = [2, 2, 2, 6];
    nhwc.run(0).unwrap();
}

#[test]
fn an_index_outside_of_the_map() {
    let mut bad = call();
    bad.x = [2, 3, 1, 5];
    bad.fails(&[3], "argmax has 5 at element 0, dx is 1 x 5");
    bad.x = [2, 3, 1, 6];
    bad.run(3).unwrap();
}

#[test]
fn outputs_that_overlap_inputs() {
    let ctx = context(isas()[0], 1);
    let mut memory = vec![0.5f32; 64];
    let rois = [0.0, 0.0, 0.0, 4.0, 4.0];
    let ptr = memory.as_mut_ptr();
    // SAFETY: refused before it is used.
    let (x, out) = unsafe {
        (
            std::slice::from_raw_parts(ptr, 16),
            std::slice::from_raw_parts_mut(ptr.add(12), 4),
        )
    };
    let error = roi_align(
        &ctx,
        &RoiAlignParams::new([2, 2]),
        View::new(x, &[1, 1, 4, 4]).unwrap(),
        View::new(&rois, &[1, 5]).unwrap(),
        None::<View<'_, i64>>,
        ViewMut::new(out, &[1, 1, 2, 2]).unwrap(),
    );
    assert_eq!(
        error.unwrap_err().message(),
        "roi_align: output overlaps x in memory"
    );
}
