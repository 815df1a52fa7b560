;;; starchat.el --- A local coding assistant  -*- lexical-binding: t; -*-

;; Author: The StarChat Assistant authors
;; Version: 0.1.0
;; Package-Requires: ((emacs "28.1"))
;; Keywords: convenience tools languages
;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; A thin client of `assistant-server', the language server of StarChat
;; Assistant.  Turn it on with `starchat-mode' in a buffer of code, or
;; everywhere with (add-hook 'prog-mode-hook #'starchat-mode), and see its
;; menu, or `C-c * C-h'.

;;; Code:

(require 'starchat-connection)
(require 'starchat-chat)
(require 'starchat-ghost)
(require 'flymake)
(require 'easymenu)

(defcustom starchat-languages '("C" "C++" "Go" "Java" "JavaScript" "Python" "Rust" "TypeScript")
  "Languages that `starchat-translate' offers."
  :type '(repeat string)
  :group 'starchat)

;;;; Commands

;;;###autoload
(defun starchat (command)
  "Run any COMMAND of the server's."
  (interactive (list (completing-read "StarChat: " (starchat-commands) nil t)))
  (let ((own (intern-soft (concat "starchat-" command))))
    (if (commandp own) (call-interactively own) (starchat-run command))))

(defun starchat-commands ()
  "The names of all commands that the server offers."
  (mapcar (lambda (name) (string-remove-prefix "starchat." name))
          (plist-get (plist-get (starchat-capabilities) :executeCommandProvider) :commands)))

(defun starchat-run (name &optional more done)
  "Run the server's command NAME about the region, or the definition at point.
MORE is a property list of further parts of its argument.  DONE is
called with the outcome, a property list."
  (let ((argument (append more (starchat--place)))
        (token (starchat-token)))
    (deactivate-mark)
    (starchat-request
     :workspace/executeCommand
     (list :command (concat "starchat." name) :arguments (if argument (vector argument) []) :workDoneToken token)
     (lambda (outcome error)
       (starchat-forget token)
       (starchat--ended (or outcome (list :outcome "failed" :reason error)))
       (when done (funcall done outcome))))))

(defun starchat--ended (outcome)
  "Tell the user of an OUTCOME, unless the server has done so."
  (setq starchat-last-answer (or (plist-get outcome :answer) starchat-last-answer))
  (when (or (member (plist-get outcome :outcome) '("applied" "cancelled")) (not (plist-get outcome :job)))
    (message "StarChat: %s" (plist-get outcome :reason))))

(defun starchat--place ()
  "What a command is about: lines, and the problems there.
The server is told of the text first."
  (unless (derived-mode-p 'starchat-chat-mode 'special-mode)
    (starchat-connect)
    (starchat-sync)
    (let* ((range (starchat-region))
           (problems (mapcar (lambda (each) (starchat--problem each))
                             (flymake-diagnostics (car range) (cdr range)))))
      (append (list :uri (starchat-uri) :range (starchat-range (car range) (cdr range)))
              (and problems (list :problems (vconcat problems)))))))

(defun starchat--problem (diagnostic)
  "A flymake DIAGNOSTIC as a line for the server."
  (format "line %d: %s" (line-number-at-pos (flymake-diagnostic-beg diagnostic) t)
          (replace-regexp-in-string "[ \t\n]+" " " (flymake-diagnostic-text diagnostic))))

(defmacro starchat--define (name documentation &rest more)
  "Define the command of NAME after starchat-, described by DOCUMENTATION.
MORE are forms for further parts of its argument."
  (declare (indent 1))
  `(defun ,(intern (format "starchat-%s" name)) ()
     ,(concat documentation "\nIt is about the region, or the definition at point.")
     (interactive)
     (starchat-run ,(symbol-name name) (list ,@more))))

(starchat--define fix "Find the bug, and mend it.")
(starchat--define explain "Explain the code.")
(starchat--define review "Say what should be changed in the code.")
(starchat--define document "Write comments and documentation.")
(starchat--define tests "Write tests into a new file.")
(starchat--define edit "Change the code as told." :question (read-string "Change: "))
(starchat--define ask "Ask a question about the code." :question (read-string "Question: "))
(starchat--define plot "Write a script that draws what is told." :question (read-string "Draw: "))
(starchat--define translate "Translate the code into a new file."
  :language (completing-read "Translate to: " starchat-languages))

(defun starchat-undo ()
  "Take the assistant's last edit of this buffer back."
  (interactive)
  (starchat-run "undo"))

(defun starchat-retry ()
  "Do the last command again."
  (interactive)
  (starchat-run "retry"))

(defun starchat-cancel ()
  "Stop everything that the assistant is doing."
  (interactive)
  (starchat-chat-stop-all)
  (starchat-run "cancel"))

(defun starchat-answer ()
  "Show the last answer."
  (interactive)
  (if starchat-last-answer
      (pop-to-buffer (starchat-answer-buffer starchat-last-answer))
    (user-error "There is no answer yet")))

;;;; The mode

(defvar starchat-command-map
  (let ((map (make-sparse-keymap)))
    (pcase-dolist (`(,key . ,command)
                   '(("*" . starchat) ("f" . starchat-fix) ("x" . starchat-explain) ("e" . starchat-edit)
                     ("a" . starchat-ask) ("d" . starchat-document) ("r" . starchat-review) ("t" . starchat-tests)
                     ("l" . starchat-translate) ("c" . starchat-chat) ("k" . starchat-cancel)
                     ("u" . starchat-undo) ("g" . starchat-retry) ("v" . starchat-answer)))
      (define-key map (kbd key) command))
    map)
  "Keys of `starchat-mode' after its prefix.")

(defvar starchat-mode-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "C-c *") starchat-command-map)
    map)
  "Keys of `starchat-mode'.")

(easy-menu-define starchat-menu starchat-mode-map "Menu of `starchat-mode'."
  '("StarChat"
    ["Fix a bug" starchat-fix] ["Change as told..." starchat-edit] ["Write documentation" starchat-document] "--"
    ["Explain" starchat-explain] ["Review" starchat-review] ["Ask..." starchat-ask] ["Chat" starchat-chat]
    ["Chats..." starchat-chat-resume] ["Show the last answer" starchat-answer] "--"
    ["Translate..." starchat-translate] ["Write tests" starchat-tests] ["Draw a figure..." starchat-plot] "--"
    ["Stop" starchat-cancel] ["Take the last edit back" starchat-undo] ["Try again" starchat-retry]
    ["Ghost text" starchat-ghost-mode :style toggle :selected starchat-ghost-mode]
    ["Start the server again" starchat-restart]))

;;;###autoload
(define-minor-mode starchat-mode
  "Keys, a menu and a place in the mode line for the assistant.
It says in the mode line what it is doing."
  :lighter (:eval (string-replace "%" "%%" (starchat-lighter)))
  :group 'starchat)

(provide 'starchat)
;;; starchat.el ends here
