//! Whether a device holds the work, and what of the transformer stays on it.

use tch::Kind;
use wanctl::pipeline::{
    job::{Dtype, Offload, Part, Trouble},
    memory::{self, Need, Sizes, Work},
};

use super::{
    Task,
    dit::Keep,
    session::{Session, refused},
};
use crate::engine::torch::{self, shim};

impl Session<'_, '_> {
    /// What of the transformer can stay on the device.
    pub(super) fn room(&self) -> Result<Keep, Trouble> {
        let sizes = Sizes::of(self.models).map_err(refused)?;
        let beside = self.numbers_beside()?;
        let works = self.tasks.iter().map(|task| self.work(task, beside));
        let (device, has, free) = (torch::name(self.device), torch::memory(self.device), shim::free(self.device)?);
        let share = |bytes: u64| bytes / self.share as u64;
        let room = match self.device.is_cuda() {
            true => Room { device, has, free, host: memory::host().map(share) },
            false => Room { device, has: has.map(share), free, host: None },
        };
        keep(&sizes, works, &room)
    }

    fn work(&self, Task { wan, head, references, .. }: &Task<'_>, beside: u64) -> Work {
        let dtype = match self.kind {
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::Bf16,
            _ => Dtype::F32,
        };
        Work {
            size: head.size,
            frames: head.slots.len(),
            references: *references,
            dtype,
            packed: wan.dtype == Dtype::Fp8,
            beside,
            offload: wan.offload,
            ahead: self.device.is_cuda(),
            vae_tile: wan.vae_tile,
        }
    }
}

/// Bytes, where they are known.
#[derive(Debug, Default)]
struct Room {
    device: String,
    /// All of the device's memory, used or not.
    has: Option<u64>,
    /// What of it nobody has.
    free: Option<u64>,
    /// Of the host, beside a GPU.
    host: Option<u64>,
}

/// What of the transformer can stay on a device: all of it if that is enough for every seam, else what the host has room
/// for. Where it lies changes no byte of the frames, so what is free now decides; work that the device could never do is
/// refused.
fn keep(sizes: &Sizes, works: impl Iterator<Item = Work>, room: &Room) -> Result<Keep, Trouble> {
    let has = room.has.unwrap_or(u64::MAX);
    let free = room.free.unwrap_or(has);
    let mut keep = Keep::All;
    for work in works {
        memory::refuse(sizes, &work, &room.device, has).map_err(refused)?;
        let fits = |need: &Need| need.part != Part::Denoise || need.whole <= free;
        let stays = match work.offload {
            Offload::Blocks => false,
            Offload::None => true,
            Offload::Auto => sizes.needs(&work).iter().all(fits),
        };
        if !stays {
            // Some of the host's memory is the system's and other programs'.
            let holds = room.host.is_some_and(|host| sizes.blocks(&work) <= host / 4 * 3);
            keep = if holds { Keep::Host } else { Keep::One };
        }
    }
    Ok(keep)
}

#[cfg(test)]
mod tests {
    use wanctl::pipeline::{
        checkpoint::{ModelFiles, Wanted},
        job::{TroubleCode, VaeTile},
        video::Size,
    };

    use super::*;

    #[test]
    fn layers_leave_the_device_only_where_they_do_not_all_fit_and_what_never_fits_is_refused() {
        let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wan/tiny");
        let models = ModelFiles::find(&[Wanted { role: None, path: tiny.into() }]).unwrap();
        let sizes = Sizes::of(&models).unwrap();
        let work = Work {
            size: Size::new(48, 32),
            frames: 13,
            references: 0,
            dtype: Dtype::F32,
            packed: false,
            beside: 0,
            offload: Offload::Auto,
            ahead: false,
            vae_tile: VaeTile::Auto,
        };
        let need = sizes.needs(&work).into_iter().find(|need| need.part == Part::Denoise).unwrap();
        assert!(need.least < need.whole, "{need:?}");
        let of = |offload, has, free| {
            let room = Room { device: "cpu".into(), has, free, host: None };
            keep(&sizes, [Work { offload, ..work }].into_iter(), &room)
        };
        let keeps = |offload, has| of(offload, has, None).map_err(|trouble| (trouble.code, trouble.message));
        // The other parts need more than this one.
        let enough = sizes.needs(&work).iter().map(|need| need.whole).max();
        assert_eq!(keeps(Offload::Auto, None), Ok(Keep::All));
        assert_eq!(keeps(Offload::Auto, enough), Ok(Keep::All));
        assert_eq!(keeps(Offload::Blocks, enough), Ok(Keep::One));
        let beside_gpu = |host| {
            let work = Work { offload: Offload::Blocks, ahead: true, ..work };
            let room = Room { device: "cuda:0".into(), has: enough, free: enough, host: Some(host) };
            keep(&sizes, [work].into_iter(), &room).ok()
        };
        let blocks = sizes.blocks(&work);
        assert_eq!(beside_gpu(blocks), Some(Keep::One), "the host has none to spare");
        assert_eq!(beside_gpu(2 * blocks), Some(Keep::Host));
        let beside_another_program = |offload| of(offload, enough, Some(need.whole - 1)).ok();
        assert_eq!(beside_another_program(Offload::Auto), Some(Keep::One));
        assert_eq!(beside_another_program(Offload::None), Some(Keep::All), "as it was asked");
        let (code, message) = keeps(Offload::Auto, Some(1000)).unwrap_err();
        assert_eq!(code, TroubleCode::Memory);
        assert!(
            message.contains("13 frames of 48x32 takes at least 0.0 GB of memory, and cpu has 0.0 GB"),
            "{message}"
        );
    }
}
