// Source: the Trace Event Format of Chrome, as Perfetto reads it.
#include <procyon/executor/trace.hpp>

#include "engine/trace.hpp"
#include "process/process.hpp"
#include "shm/replacement_file.hpp"

#include <fmt/format.h>

#include <chrono>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace procyon {
namespace {

using engine::RecordedPool;
using engine::RecordedTask;

using Text = std::back_insert_iterator<std::string>;

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", c);
    } else {
      out += c;
    }
  }
  return out + '"';
}

// Nanoseconds as the microseconds that the format wants.
std::string microseconds(std::int64_t ns) { return fmt::format("{}.{:03}", ns / 1000, ns % 1000); }

void write_name(Text out, const char* what, std::int32_t pid, std::int32_t thread,
                const std::string& name) {
  fmt::format_to(out,
                 R"({{"name":"{}","ph":"M","pid":{},"tid":{},"args":{{"name":{}}}}},)"
                 "\n",
                 what, pid, thread, quoted(name));
}

// One row a worker: a process of its own, or a thread of this one.
void write_rows(Text out, const RecordedPool& pool, const std::string& name) {
  std::map<std::pair<std::int32_t, std::int32_t>, std::uint32_t> rows;
  for (const RecordedTask& task : pool.tasks)
    rows.try_emplace({task.pid, task.thread}, task.worker);
  for (const auto& [row, worker] : rows) {
    const std::string full = fmt::format("{} worker {}", name, worker);
    write_name(out, "process_name", row.first, row.second, pool.shared ? full : "program");
    write_name(out, "thread_name", row.first, row.second, full);
  }
}

void write_task(Text out, const RecordedTask& task, const std::string& category,
                std::int64_t origin) {
  const std::string name =
      task.items == 1 ? fmt::format("item {}", task.item)
                      : fmt::format("items {} to {}", task.item, task.item + task.items - 1);
  fmt::format_to(out, R"({{"name":"{}","cat":{},"pid":{},"tid":{},"ts":{},)", name, category,
                 task.pid, task.thread, microseconds(task.begin - origin));
  if (task.end != 0) {
    fmt::format_to(out, R"("ph":"X","dur":{},)", microseconds(task.end - task.begin));
  } else {
    fmt::format_to(out, R"("ph":"B",)");  // without an end
  }
  fmt::format_to(out,
                 R"("args":{{"pool":{},"item":{},"items":{},"attempt":{}}}}},)"
                 "\n",
                 category, task.item, task.items, task.attempt + 1);
}

std::string json_of(const std::vector<RecordedPool>& pools, std::int64_t origin) {
  std::string text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  const Text out(text);
  std::uint64_t dropped = 0;
  std::size_t number = 0;
  for (const RecordedPool& pool : pools) {
    const std::string name = pool.name.empty() ? fmt::format("pool {}", ++number) : pool.name;
    write_rows(out, pool, name);
    for (const RecordedTask& task : pool.tasks) write_task(out, task, quoted(name), origin);
    dropped += pool.dropped;
  }
  if (text.ends_with(",\n")) text.resize(text.size() - 2);
  return text + fmt::format("\n],\"otherData\":{{\"dropped\":{}}}}}\n", dropped);
}

}  // namespace

struct Trace::State {
  explicit State(const std::filesystem::path& path) : file(path, 0) { engine::begin_trace(); }
  shm::ReplacementFile file;
  std::int64_t origin =
      std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds{1};
  unsigned generation = process::fork_generation();
};

Trace::Trace(const std::filesystem::path& path) : state_(std::make_unique<State>(path)) {}

Trace::~Trace() {
  if (state_->generation != process::fork_generation()) {
    static_cast<void>(state_.release());  // the parent's file
    return;
  }
  try {
    const std::string text = json_of(engine::end_trace(), state_->origin);
    state_->file.write(std::as_bytes(std::span(text)));
    state_->file.commit();
  } catch (const std::exception&) {
    return;
  }
}

}  // namespace procyon
