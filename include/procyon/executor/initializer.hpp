// What every worker of a pool does first.
#pragma once

#include <procyon/executor/task.hpp>

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace procyon {

template <class Signature>
class Task;

/// A callable without arguments, whose type is forgotten; empty when made without one. A Pool that
/// is given it asks of its captures what it asks of every task's.
template <>
class Task<void()> {
 public:
  Task() = default;
  template <class F>
  requires(std::invocable<const std::decay_t<F>&> && !std::same_as<std::decay_t<F>, Task>)
      Task(F&& f)  // NOLINT(google-explicit-constructor,bugprone-forwarding-reference-overload)
      : model_(std::make_shared<const Model<std::decay_t<F>>>(std::forward<F>(f))) {}

  explicit operator bool() const noexcept { return model_ != nullptr; }

 private:
  template <engine::Domain domain>
  friend class BasicPool;

  struct Concept {
    Concept() = default;
    Concept(const Concept&) = delete;
    Concept& operator=(const Concept&) = delete;
    virtual ~Concept() = default;
    virtual void start(engine::Engine& engine) const = 0;
  };
  template <class F>
  struct Model final : Concept {
    explicit Model(F callable) : f(std::move(callable)) {}
    void start(engine::Engine& engine) const override {
      using Payload = detail::Payload<detail::Spread::no, F, detail::NoResults>;
      engine::Job* job = engine.prepare(sizeof(Payload));
      Payload* payload = nullptr;
      try {
        payload =
            ::new (engine::Engine::payload(job)) Payload{f, {}, detail::NoResults(engine, 1), 1};
        const detail::CheckedFor checked(payload->images = engine.workers_are_images());
        if (engine.isolated()) detail::check_shareable(payload->f, "the initializer");
        const engine::JobSpec spec{.code = Payload::code(), .functions = payload->functions()};
        engine.start(job, spec, &Payload::destroy);
      } catch (...) {
        if (payload != nullptr) std::destroy_at(payload);
        engine.release(job);
        throw;
      }
    }
    F f;
  };
  void start(engine::Engine& engine) const {
    if (model_) return model_->start(engine);
    engine.start(nullptr, {}, nullptr);
  }

  std::shared_ptr<const Concept> model_;
};

}  // namespace procyon
