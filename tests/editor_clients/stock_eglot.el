;;; Emacs with nothing but eglot: fixes a bug by a code action, waits however long it takes, and takes it back.  -*- lexical-binding: t -*-
;; Run as: emacs --batch -l stock_eglot.el FILE MODEL.  Whatever Emacs asks is answered on standard input.

(package-initialize)
(require 'eglot)

(defun say (format &rest arguments)
  (princ (concat (apply #'format format arguments) "\n")))

(defun wait-until (holds seconds)
  (let ((end (+ (float-time) seconds)))
    (while (and (not (funcall holds)) (< (float-time) end))
      (accept-process-output nil 0.05))
    (funcall holds)))

(pcase-let ((`(,file ,model) command-line-args-left))
  (setq command-line-args-left nil
        eglot-connect-timeout 60
        eglot-server-programs '((python-mode . ("assistant-server"))))
  (setq-default eglot-workspace-configuration `((:starchat . (:model ,model))))
  (find-file file)
  (python-mode)
  (setq-local eglot-server-programs '((python-mode . ("assistant-server"))))
  (apply #'eglot--connect (eglot--guess-contact))
  (let ((before (buffer-string)) (server (eglot-current-server)) (began (float-time)))
    (say "connected to %s" (plist-get (eglot--server-info server) :name))
    (goto-char (point-min))
    (search-forward "return gcd")
    (eglot-code-actions (point) (point) "refactor.rewrite.starchat.fix" t)
    (say "back after %s" (if (< (- (float-time) began) 5) "a moment" "too long"))
    (save-excursion (goto-char (point-min)) (insert "# typed meanwhile\n"))
    (eglot--signal-textDocument/didChange) ; which a timer does where somebody sits at the keyboard
    (wait-until (lambda () (not (string-suffix-p before (buffer-string)))) 300)
    (say "edited after %d s" (- (float-time) began))
    (say "%s" (buffer-string))
    (eglot--signal-textDocument/didChange)
    (say "%s" (plist-get (eglot-execute-command server 'starchat.undo []) :reason))
    (wait-until (lambda () (string-suffix-p before (buffer-string))) 5)
    (say "undone: %s" (string-suffix-p before (buffer-string)))
    (set-buffer-modified-p nil)
    (eglot-shutdown server)))
