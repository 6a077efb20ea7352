//! Dynamic mapping: a task becomes as many instances as there are elements. Source: Airflow 3.3.2 `models/taskmap.py`.

use super::{life::Life, run::index_of};
use crate::{dag::MAX_MAPPED, state::TaskState};

impl Life<'_> {
    /// Brings the number of instances in line with what the task is mapped over. Returns whether any instance is left to run.
    ///
    /// The first time, the placeholder becomes instance 0 and the others are added. After a clear the list may have
    /// another length: missing instances are added, superfluous ones are set to removed.
    ///
    /// Whatever it is mapped over has ended by now.
    pub(super) fn expand(&mut self, node: usize) -> bool {
        if self.run.source_state(node) == Some(TaskState::Skipped) {
            self.end_untouched(node, TaskState::Skipped, Some("what it is mapped over was skipped"));
            return false;
        }
        let length = match self.run.mapped_length(node) {
            Ok(length) if length <= MAX_MAPPED => length,
            Ok(length) => {
                return self.refuse(node, &format!("would have {length} instances, more than {MAX_MAPPED}"));
            }
            Err(reason) => return self.refuse(node, &reason),
        };
        if length == 0 {
            self.end_untouched(node, TaskState::Skipped, Some("mapped over an empty list"));
            return false;
        }
        self.number_placeholder(node);
        self.remove_beyond(node, length);
        self.add_up_to(node, length);
        self.run.nodes[node].expanded = true;
        true
    }

    fn refuse(&mut self, node: usize, reason: &str) -> bool {
        self.end_untouched(node, TaskState::UpstreamFailed, Some(reason));
        false
    }

    fn number_placeholder(&mut self, node: usize) {
        let Some(&first) = self.run.nodes[node].instances.first() else {
            return;
        };
        let record = &mut self.run.tis[first as usize].record;
        if record.map_index < 0 {
            record.map_index = 0;
            self.run.touch(first);
        }
    }

    fn remove_beyond(&mut self, node: usize, length: usize) {
        let beyond: Vec<u32> = self.run.nodes[node].instances.iter().skip(length).copied().collect();
        for index in beyond {
            if self.run.tis[index as usize].record.state != TaskState::Removed {
                self.end_by_decree(index, TaskState::Removed, "the list it was mapped over became shorter");
            }
        }
    }

    fn add_up_to(&mut self, node: usize, length: usize) {
        let kept: Vec<u32> = self.run.nodes[node].instances.iter().take(length).copied().collect();
        for &index in &kept {
            if self.run.tis[index as usize].record.state == TaskState::Removed {
                self.clear(index);
            }
        }
        let missing = length.saturating_sub(kept.len());
        for place in kept.len()..length {
            self.run.add_instance(node, index_of(place));
        }
        self.run.unfinished += missing;
        self.run.untouched += missing;
        self.run.nodes[node].untouched += missing;
        self.run.nodes[node].unmet += missing;
        self.run.expect(node, missing);
    }
}
