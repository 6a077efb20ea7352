//! Dynamic mapping: a task becomes as many instances as there are elements, those of the groups around it included.
//!
//! Source: Airflow 3.3.2 `models/taskmap.py`, `ti_deps/deps/mapped_task_upstream_dep.py`, `models/dagrun.py:1994`.

use std::{collections::HashMap, ops::Range};

use super::{
    life::Life,
    record::XComLength,
    run::{Run, index_of},
};
use crate::{id::TaskId, state::TaskState};

/// How many elements the XComs have over which something may be mapped: by task, key and mapped index.
#[derive(Debug, Default)]
pub struct Lengths(HashMap<TaskId, HashMap<String, HashMap<i32, Option<usize>>>>);

impl Lengths {
    /// Takes down the length of an XCom; none when it is neither a list nor an object.
    pub fn note(&mut self, xcom: XComLength) {
        let keys = self.0.entry(xcom.task_id).or_default();
        keys.entry(xcom.key).or_default().insert(xcom.map_index, xcom.length);
    }

    fn forget(&mut self, task_id: &TaskId, map_index: i32) {
        let keys = self.0.get_mut(task_id).into_iter().flat_map(HashMap::values_mut);
        for left in keys {
            left.remove(&map_index);
        }
    }

    fn left(&self, task_id: &TaskId, key: &str) -> Option<&HashMap<i32, Option<usize>>> {
        self.0.get(task_id)?.get(key)
    }
}

/// How many instances a task has.
#[derive(Debug, PartialEq, Eq)]
struct Extent {
    /// How many elements the groups around it have together, down to each of them; first 1 for what is outside of all.
    shape: Vec<usize>,
    /// Its instances.
    count: usize,
}

/// What keeps a task from being expanded.
enum Obstacle {
    /// What it is mapped over has not ended.
    Open,
    /// It never will be: this becomes of it.
    End(TaskState, String),
}

impl Life<'_> {
    /// Brings the number of instances in line with what the task is mapped over. Returns whether any instance is left to run.
    ///
    /// The first time, the placeholder becomes instance 0 and the others are added. After a clear the list may have another
    /// length: missing instances are added, superfluous ones are set to removed.
    ///
    /// Whatever it is mapped over has ended by now.
    pub(super) fn expand(&mut self, node: usize) -> bool {
        let extent = match self.run.extent(node) {
            Ok(extent) => extent,
            Err(Obstacle::Open) => return false,
            Err(Obstacle::End(state, reason)) => {
                self.unite(node);
                self.end_untouched(node, state, Some(&reason));
                return false;
            }
        };
        let is_grouped = extent.shape.len() > 1;
        if is_grouped && self.run.nodes[node].has_extent(&extent) {
            return true;
        }
        let old = self.run.nodes[node].instances.len();
        self.number_placeholder(node);
        if is_grouped || old < extent.count || !self.run.nodes[node].is_divided() {
            self.reshape(node, &extent);
        }
        self.remove_beyond(node, extent.count);
        self.bring_back(node, 0..extent.count.min(old));
        true
    }

    /// A placeholder that has ended stands for all of its task, so that it is not expanded any more.
    pub(super) fn is_closed(&self, node: usize) -> bool {
        let state = &self.run.nodes[node];
        !state.expanded && state.untouched == 0
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

    // Everybody who waits for the task forgets its instances and is told them anew, because they may count elsewhere now.
    fn reshape(&mut self, node: usize, extent: &Extent) {
        let old = self.run.nodes[node].instances.len();
        self.run.introduce(node, false);
        for place in old..extent.count {
            self.run.add_instance(node, index_of(place));
        }
        let missing = extent.count.saturating_sub(old);
        self.run.unfinished += missing;
        self.run.untouched += missing;
        let state = &mut self.run.nodes[node];
        state.untouched += missing;
        state.unmet += missing;
        state.unfinished += missing;
        (state.expanded, state.whole, state.count) = (true, false, extent.count);
        if extent.shape.len() > 1 {
            self.run.survey(node, extent.shape.clone());
            self.run.review_behind(node);
            self.run.review_node(node);
        }
        self.run.introduce(node, true);
    }

    // It has instances, and what they were mapped over is gone: nobody can say which elements they belong to.
    fn unite(&mut self, node: usize) {
        let state = &self.run.nodes[node];
        if !state.is_divided() || self.run.graph.node(node).groups.is_empty() {
            return;
        }
        let levels = state.shape.len();
        self.run.introduce(node, false);
        self.run.nodes[node].whole = true;
        self.run.survey(node, vec![1; levels]);
        self.run.introduce(node, true);
        self.run.review_behind(node);
    }

    fn remove_beyond(&mut self, node: usize, length: usize) {
        let beyond: Vec<u32> = self.run.nodes[node].instances.iter().skip(length).copied().collect();
        beyond.into_iter().for_each(|index| self.remove(index));
    }

    /// Ends an instance whose element is gone.
    pub(super) fn remove(&mut self, index: u32) {
        if self.run.tis[index as usize].record.state != TaskState::Removed {
            self.end_by_decree(index, TaskState::Removed, "the list it was mapped over became shorter");
            self.drop_xcoms(index);
        }
    }

    fn bring_back(&mut self, node: usize, places: Range<usize>) {
        let kept: Vec<u32> = self.run.nodes[node].instances[places].to_vec();
        for index in kept {
            if self.run.tis[index as usize].record.state == TaskState::Removed {
                self.clear(index);
            }
        }
    }
}

impl Run {
    /// Notes how many elements an XCom has, if something may be mapped over it.
    pub fn note_length(&mut self, index: u32, key: &str, length: Option<usize>) {
        let ti = &self.tis[index as usize];
        if ti.node < self.graph.len() && self.graph.node(ti.node).is_source {
            let (task_id, map_index) = (ti.record.task_id.clone(), ti.record.map_index);
            self.lengths.note(XComLength { task_id, map_index, key: key.to_owned(), length });
        }
    }

    /// Forgets what an instance left, because it runs again.
    pub fn forget_lengths(&mut self, index: u32) {
        let record = &self.tis[index as usize].record;
        self.lengths.forget(&record.task_id, record.map_index);
    }

    /// How many instances a new run has of a task at once: as many as the file says, or one until more is known.
    pub fn written_length(&self, node: usize) -> Option<usize> {
        let lengths = self.graph.dimensions(node).map(|mapping| mapping.written_length());
        let lengths = lengths.collect::<Option<Vec<_>>>()?;
        let count = lengths.into_iter().fold(1, usize::saturating_mul);
        (count <= self.graph.dag.max_map_length as usize).then_some(count)
    }

    /// The number of instances and the cells of a task as far as its records tell: as long as what it is mapped over runs again,
    /// nothing in it is judged, so a guess does.
    pub fn recorded_shape(&self, node: usize, count: usize) -> Vec<usize> {
        match self.measure(node) {
            Ok(extent) if extent.count == count && count > 0 => extent.shape,
            Ok(_) | Err(_) => {
                let depth = self.graph.node(node).groups.len();
                (0..=depth).map(|level| if level > 0 && level == depth { count.max(1) } else { 1 }).collect()
            }
        }
    }

    // A source that was expanded has done its part, however its instances ended; one that was not must have succeeded.
    fn extent(&self, node: usize) -> Result<Extent, Obstacle> {
        if self.awaits_sources(node) {
            return Err(Obstacle::Open);
        }
        let sources = &self.graph.node(node).sources;
        let whole = sources.iter().filter(|&&source| !self.is_split(source));
        let states: Vec<TaskState> = whole
            .filter_map(|&source| self.nodes[source].instances.first())
            .map(|&index| self.tis[index as usize].record.state)
            .collect();
        let end = |state, reason: &str| Err(Obstacle::End(state, reason.to_owned()));
        if states.iter().any(|state| matches!(state, TaskState::Failed | TaskState::UpstreamFailed)) {
            return end(TaskState::UpstreamFailed, "what it is mapped over failed");
        }
        if states.contains(&TaskState::Skipped) {
            return end(TaskState::Skipped, "what it is mapped over was skipped");
        }
        let most = self.graph.dag.max_map_length as usize;
        match self.measure(node) {
            Err(reason) => end(TaskState::UpstreamFailed, &reason),
            Ok(Extent { count: 0, .. }) => end(TaskState::Skipped, "mapped over an empty list"),
            Ok(Extent { count, .. }) if count > most => {
                let reason = format!("would have {count} instances, more than its max_map_length of {most}");
                end(TaskState::UpstreamFailed, &reason)
            }
            Ok(extent) => Ok(extent),
        }
    }

    fn measure(&self, node: usize) -> Result<Extent, String> {
        let around = self.graph.node(node).groups.len();
        let (mut shape, mut count) = (vec![1], 1_usize);
        for (depth, mapping) in self.graph.dimensions(node).enumerate() {
            count = count.saturating_mul(mapping.length(&|task_id, key| self.source_length(task_id, key))?);
            if depth < around {
                shape.push(count);
            }
        }
        Ok(Extent { shape, count })
    }

    // It has been expanded, or never will be: its values are those of its instances.
    fn is_split(&self, node: usize) -> bool {
        self.graph.node(node).is_expanding && self.nodes[node].expanded
    }

    fn source_length(&self, task_id: &TaskId, key: &str) -> Result<usize, String> {
        let Some(source) = self.graph.find(task_id) else {
            return Err(format!("it is mapped over `{task_id}`, which does not exist"));
        };
        let left = self.lengths.left(task_id, key);
        if self.graph.node(source).is_expanding {
            return Ok(left.map_or(0, HashMap::len));
        }
        match left.and_then(|left| left.get(&-1)) {
            Some(Some(length)) => Ok(*length),
            Some(None) => Err(format!("it is mapped over the XCom `{key}` of `{task_id}`, which is no list")),
            None => Err(format!("it is mapped over the XCom `{key}` of `{task_id}`, which left none")),
        }
    }
}

impl super::run::NodeState {
    /// It is known which elements each of its instances belongs to.
    pub const fn is_divided(&self) -> bool {
        self.expanded && !self.whole
    }

    fn has_extent(&self, extent: &Extent) -> bool {
        self.is_divided()
            && self.count == extent.count
            && self.shape == extent.shape
            && self.instances.len() >= extent.count
    }
}
